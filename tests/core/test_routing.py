"""Content switching: rules over requests, which no other spelling of a request evades."""

from __future__ import annotations

import random
import re
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit.core.routing import (
    DEFAULT,
    Answered,
    Fixed,
    Maintenance,
    Mirror,
    Redirect,
    Rewrite,
    Route,
    RouteTable,
    Routing,
    Rule,
    Sample,
    Split,
    ToPool,
    When,
)
from lbkit.core.routing.paths import below, doubtful, encoded_path, normal_path
from lbkit.core.routing.patterns import LONGEST, SafeRegex, TooLong, glob

FORBIDDEN = Rule("no admin", Fixed(403), When(prefix=("/admin",)))
TARGETS = st.one_of(
    st.text("/.%25eEfFaAdmin2c5\\;?x", max_size=40).map(lambda text: "/" + text),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=40).map(
        lambda text: "/" + text
    ),
)


def table(*rules: Rule, **options: Any) -> RouteTable:
    return RouteTable(Routing(rules, **options), random.Random(1))


def decided(rules: RouteTable, *args: Any, **options: Any) -> str:
    """Return the name of the rule that decides."""
    return rules.route(Sample(*args, **options)).rule


def way(rules: RouteTable, *args: Any, **options: Any) -> Route:
    found = rules.route(Sample(*args, **options))
    assert isinstance(found, Route)
    return found


def location(to: str, when: When, *args: Any, **options: Any) -> str:
    answer = table(Rule("r", Redirect(to), when)).route(Sample(*args, **options))
    assert isinstance(answer, Answered)
    return dict(answer.reply.fields)["Location"]


# -- paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/admin",
        "/admin/",
        "/admin/users?x=/public",
        "/%61dmin",
        "/%61%64%6D%69%6e",
        "//admin",
        "/./admin",
        "/%2e/admin",
        "/x/../admin",
        "/x/%2e%2E/admin",
        "/x//../admin",
        "/x/..%2fadmin",
        "/x%2f..%2fadmin",
        "/../../admin",
        "/.//admin",
        "/public/../admin/",
        "/admin%2fusers",
        "/admin/%0a",
        "/public/..;/admin",
    ],
)
def test_no_spelling_of_a_path_evades_a_rule(target: str) -> None:
    assert decided(table(FORBIDDEN), target) == "no admin"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("", "/"),
        ("/a//b/", "/a/b/"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/..a/b..", "/..a/b.."),
        ("/%2561dmin", "/%61dmin"),  # decoded once, not until nothing is left
        ("/a%3Fb", "/a?b"),
        ("/caf%C3%A9", "/café"),
        ("/%", "/%"),
        ("/%zz", "/%zz"),
        ("/a?b/../c", "/a"),
    ],
)
def test_normal_paths(target: str, path: str) -> None:
    assert normal_path(target.encode()) == path


@given(TARGETS)
def test_a_normal_path_has_no_empty_and_no_dot_segments_and_is_its_own_normal_form(target: str) -> None:
    path = normal_path(target.encode())
    assert path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/")[1:-1])
    assert path.rsplit("/", 1)[1] not in (".", "..")
    written = encoded_path(path)
    assert normal_path(written.encode()) == path
    assert re.fullmatch(r"[!\"$-~]+", written)
    assert "?" not in written


@given(st.binary(max_size=40))
def test_any_bytes_have_a_normal_path_and_the_way_back(raw: bytes) -> None:
    path = normal_path(b"/" + raw)
    assert normal_path(encoded_path(path).encode()) == path


@given(TARGETS)
def test_what_is_forwarded_is_what_the_rules_have_seen(target: str) -> None:
    sent = way(table(), target).target
    assert normal_path(sent) == normal_path(target.encode())
    doubt = doubtful(sent)
    assert not doubt or doubt.startswith(("an escape that", "a control", "an escaped slash"))
    assert sent.partition(b"?")[2] == target.encode().partition(b"?")[2]


@given(TARGETS)
def test_a_path_without_doubt_is_forwarded_as_it_is(target: str) -> None:
    raw = target.encode()
    if not doubtful(raw):
        assert way(table(), target).target == raw


def test_doubtful_paths_can_be_refused_or_passed() -> None:
    answer = table(doubtful="refuse").route(Sample("/a%2fb"))
    assert isinstance(answer, Answered)
    assert answer.reply.status == 400
    assert "escaped slash" in answer.reply.body
    assert way(table(doubtful="refuse"), "/a/b%20c").target == b"/a/b%20c"
    assert way(table(doubtful="pass"), "//a%2fb").target == b"//a%2fb"


def test_a_prefix_ends_at_a_segment() -> None:
    assert below("/api", "/api") == ""
    assert below("/api/x", "/api") == "/x"
    assert below("/api/x", "/api/") == "/x"
    assert below("/apis", "/api") is None
    assert below("/x", "/") == "/x"


# -- patterns -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b",
        "(a|a)*b",
        "(a|aa)+",
        "(.*)*",
        "(a*)*",
        "(?:a?){50}a{50}",
        "(a|ab|b){1,40}c",
        ".*.*.*x",
        "a*a*a*a*b",
        r"(\w+\s?)*x",
        "([a-z]+)+@",
        "(?i:a+)A+[A-Z]+x",
        "(?:|)(?:|)(?:|)x",
        "(?:ab){0,4000000000}{0,4000000000}x",
        r"(a)\1",
        "(?=a)a",
        "(?<!a)b",
        "(?(1)a|b)",
        "(",
        "[",
        "x" * 501,
    ],
)
def test_a_pattern_that_could_take_for_ever_is_refused(pattern: str) -> None:
    with pytest.raises(
        ValueError, match=r"too many|repeats a group|support|can be empty|no regular|characters"
    ):
        SafeRegex(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "/u/([0-9]+)",
        r"/(?P<lang>en|de)/(.*)\.html?",
        "/[^/]+/[^/]+/[^/]+/[^/]+/x",
        "(?i)/Admin.*",
        r"/\d{4}/\d\d/.*",
        "(?:/[a-z]+){0,4}/x",
        ".*(?:php|asp|jsp)",
        "a*+b",
    ],
)
def test_usual_patterns_are_accepted(pattern: str) -> None:
    SafeRegex(pattern)


@pytest.mark.parametrize("pattern", ["(.*)[0-9]+x", r".*[0-9]+(?:ab|ac)x", ".*(?:/[a-z0-9]+){0,3}/x", ".*1y"])
def test_the_worst_patterns_that_are_accepted_are_quick(pattern: str) -> None:
    regex = SafeRegex(pattern)
    for piece in ("1", "a", "/a", "1a", "ab", "/"):
        before = time.thread_time()
        assert not regex.match((piece * LONGEST)[:LONGEST])
        assert time.thread_time() - before < 2.0  # it is some milliseconds; refused ones take years


@settings(max_examples=200)
@given(
    st.recursive(
        st.sampled_from(["a", "b", "[ab]", ".", "a*", "b+", "[ab]*", ".*", "a?", "a{1,3}", "[^a]*", "a*?"]),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map("".join),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
            inner.map(lambda part: f"(?:{part}){{1,3}}"),
            inner.map(lambda part: f"(?:{part})*"),
        ),
        max_leaves=8,
    )
)
def test_whatever_pattern_is_accepted_ends_soon(pattern: str) -> None:
    try:
        regex = SafeRegex(pattern)
    except ValueError:
        return
    before = time.thread_time()
    for piece in ("a", "b", "ab", "aab"):
        regex.match((piece * LONGEST)[: LONGEST - 1] + "c")
    assert time.thread_time() - before < 4.0


def test_a_text_that_is_too_long_is_refused_and_does_not_slip_past_a_rule() -> None:
    with pytest.raises(TooLong):
        SafeRegex(".*").match("x" * (LONGEST + 1))
    rules = table(Rule("no php", Fixed(403), When(regex=(r"/.*\.php",))), Rule("all"))
    answer = rules.route(Sample("/" + "x" * LONGEST + ".php"))
    assert isinstance(answer, Answered)
    assert answer.reply.status == 414
    agent = table(Rule("bots", Fixed(403), When(header={"User-Agent": "~.*bot.*"})))
    answer = agent.route(Sample(headers={"User-Agent": "x" * LONGEST + "bot"}))
    assert isinstance(answer, Answered)
    assert answer.reply.status == 431
    assert "refused, 431" in agent.explain(Sample(headers={"User-Agent": "x" * 2000})).outcome


def test_a_line_end_in_a_path_does_not_evade_a_regular_expression() -> None:
    rules = table(Rule("no admin", Fixed(403), When(regex=("/admin.*",))))
    assert decided(rules, "/admin%0ax") == decided(rules, "/admin%0a") == "no admin"


@given(st.text("ab*", max_size=8), st.text("ab", max_size=12))
def test_a_glob_matches_as_its_regular_expression_does(pattern: str, text: str) -> None:
    slow = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
    assert bool(glob(pattern).fullmatch(text)) == bool(slow.fullmatch(text))


def test_a_glob_with_many_stars_is_quick() -> None:
    before = time.thread_time()
    assert not glob("*a" * 30 + "*b").fullmatch("a" * 5000)
    assert time.thread_time() - before < 2.0


# -- conditions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "fits", "misses"),
    [
        (When(host=("example.org",)), Sample(host="EXAMPLE.org.:8080"), Sample(host="www.example.org")),
        (When(host=("*.example.org",)), Sample(host="a.b.example.org"), Sample(host="example.org")),
        (When(host=("*.example.org",)), Sample(host="a.example.org"), Sample(host=".example.org")),
        (When(host=("[::1]",)), Sample(host="[::1]:80"), Sample(host="[::2]:80")),
        (When(path=("/a",)), Sample("/a?x"), Sample("/a/")),
        (When(path=("/a",), prefix=("/b",)), Sample("/b/c"), Sample("/a/c")),
        (When(regex=("/[0-9]+",)), Sample("/12"), Sample("/12/")),
        (When(method=("PUT", "POST")), Sample(method="PUT"), Sample(method="put")),
        (When(header={"X-Beta": "1"}), Sample(headers={"x-beta": "1"}), Sample(headers={"x-beta": "10"})),
        (When(header={"X-Beta": "*"}), Sample(headers={"x-beta": ""}), Sample()),
        (When(header={"Referer": ""}), Sample(), Sample(headers={"Referer": "x"})),
        (When(header={"User-Agent": "~.*[Bb]ot.*"}), Sample(headers={"User-Agent": "a Bot 1"}), Sample()),
        (
            When(cookie={"s": "a*"}),
            Sample(headers={"Cookie": 't=1; s="abc"'}),
            Sample(headers={"Cookie": "s=b; t=a"}),
        ),
        (When(query={"v": "2"}), Sample("/?v=1&v=%32"), Sample("/?w=2")),
        (When(query={"debug": "*"}), Sample("/?debug"), Sample("/?debugger=1")),
        (
            When(content_type=("application/json",)),
            Sample(headers={"Content-Type": "Application/JSON; charset=utf-8"}),
            Sample(headers={"Content-Type": "application/jsonp"}),
        ),
        (When(content_type=("image/*",)), Sample(headers={"Content-Type": "image/png"}), Sample()),
        (When(client=("10.0.0.0/8", "::1")), Sample(client="::ffff:10.2.3.4"), Sample(client="11.0.0.1")),
        (When(client=("::/0",)), Sample(client="fe80::1%eth0"), Sample(client="10.0.0.1")),
        (When(client=("0.0.0.0/0",)), Sample(client="10.0.0.1"), Sample(client="unix:")),
        (When(method=("GET",), prefix=("/a",)), Sample("/a"), Sample("/a", "POST")),
    ],
)
def test_conditions(when: When, fits: Sample, misses: Sample) -> None:
    rules = table(Rule("r", Fixed(), when))
    assert rules.route(fits).rule == "r"
    assert rules.route(misses).rule == ""
    assert [step.fits for step in rules.explain(fits).steps] == [True]
    assert [step.fits for step in rules.explain(misses).steps] == [False]


def test_the_first_rule_that_fits_wins() -> None:
    rules = table(
        Rule("api", ToPool("api"), When(prefix=("/api",))),
        Rule("writes", ToPool("primary"), When(method=("POST",))),
    )
    assert way(rules, "/api/x", "POST").pool == "api"
    assert way(rules, "/x", "POST").pool == "primary"
    assert way(rules, "/x").pool == DEFAULT


def test_the_table_says_why_each_rule_was_skipped() -> None:
    rules = table(
        Rule("api", ToPool("api"), When(prefix=("/api", "/v1"))),
        Rule("beta", ToPool("beta"), When(method=("GET",), header={"X-Beta": "1"})),
        Rule("office", ToPool("office"), When(client=("10.0.0.0/8",))),
        Rule("images", ToPool("static"), When(path=("/logo",), host=("example.org",)), Rewrite("/img{path}")),
    )
    assert str(rules.explain(Sample("/x/../logo?a=b", host="example.org:80", headers={"X-Beta": "no"}))) == (
        "path     '/logo'\n"
        "skipped  api: path is /logo, not below /api or below /v1\n"
        "skipped  beta: header X-Beta is 'no', not '1'\n"
        "skipped  office: client is 127.0.0.1, not in 10.0.0.0/8\n"
        "fits     images: host is example.org, path is /logo\n"
        "outcome  pool static, as /img/logo?a=b"
    )
    assert rules.explain(Sample("/x")).outcome == "pool default: no rule fits"
    assert "\n" not in rules.explain(Sample("/%0a%1b[2J")).steps[0].why


SAMPLES = st.builds(
    Sample,
    target=TARGETS,
    method=st.sampled_from(["GET", "POST", "Ü"]),
    host=st.text(max_size=12),
    headers=st.dictionaries(
        st.sampled_from(["Cookie", "Content-Type", "X-Beta"]), st.text("abs=;/*\"'\x00é 1", max_size=12)
    ),
    client=st.sampled_from(["10.0.0.1", "::1", "", "nonsense", "::ffff:10.0.0.1"]),
)
RULES = (
    Rule("p", ToPool("p"), When(prefix=("/a",), regex=("/x(.*)",))),
    Rule("h", Redirect("https://{host}{path}{query}"), When(host=("*.a", "a"), method=("GET",))),
    Rule("c", Split({"a": 1, "b": 2}, key="cookie:s"), When(cookie={"s": "*a*"})),
    Rule("q", Fixed(404), When(query={"a": ""}, content_type=("*/*",), header={"X-Beta": "~[ab]*"})),
    Rule("n", Maintenance(), When(client=("10.0.0.0/8",))),
)


@given(SAMPLES)
def test_no_request_makes_a_table_raise_and_explain_foretells_the_rule(request: Sample) -> None:
    rules = table(*RULES)
    found = rules.route(request)
    explained = rules.explain(request)
    assert [step.rule for step in explained.steps if step.fits] == [found.rule] * bool(found.rule)
    assert [step.fits for step in explained.steps[:-1]] == [False] * (len(explained.steps) - 1)
    if isinstance(found, Route):
        assert f"pool {found.pool}" in explained.outcome
    str(explained)


# -- actions -----------------------------------------------------------------------------------


def test_a_split_keeps_clients_and_shares_fairly() -> None:
    rules = table(Rule("canary", Split({"stable": 90, "canary": 10})))
    pools = [way(rules, client=f"10.0.{i // 256}.{i % 256}").pool for i in range(10_000)]
    assert pools == [way(rules, client=f"10.0.{i // 256}.{i % 256}").pool for i in range(10_000)]
    assert 900 < pools.count("canary") < 1100
    assert (
        "pool stable: client is at" in rules.explain(Sample(client="10.0.0.0")).outcome
        or pools[0] == "canary"
    )


@given(st.integers(0, 100), st.integers(0, 100), st.ip_addresses())
def test_a_canary_that_grows_keeps_its_clients(less: int, more: int, client: Any) -> None:
    less, more = sorted((less, more))
    before, after = (
        way(table(Rule("r", Split({"stable": 100 - share, "canary": share}))), client=str(client)).pool
        for share in (less, more)
    )
    assert (before, after) != ("canary", "stable")


def test_splits_with_different_salts_are_independent_and_a_weight_of_0_gets_nothing() -> None:
    one, two = (table(Rule("r", Split({"a": 1, "b": 1, "c": 0}, salt=salt))) for salt in ("1", "2"))
    both = [(way(one, client=str(i)).pool, way(two, client=str(i)).pool) for i in range(4000)]
    assert {pair: 800 < both.count(pair) < 1200 for pair in set(both)} == {
        (x, y): True for x in "ab" for y in "ab"
    }


def test_a_split_by_chance_needs_no_key_and_repeats_with_its_seed() -> None:
    rule = Rule("r", Split({"a": 1, "b": 3}, key=""))
    first, second = table(rule), table(rule)
    pools = [way(first).pool for _ in range(2000)]
    assert pools == [way(second).pool for _ in range(2000)]
    assert 400 < pools.count("a") < 600
    assert first.explain(Sample()).outcome == "one of the pools a 25.000%, b 75.000%, at random"


def test_a_mirror_copies_its_share() -> None:
    rules = table(Rule("r", mirror=Mirror("shadow", 0.25)))
    mirrors = [way(rules).mirror for _ in range(4000)]
    assert 850 < mirrors.count("shadow") < 1150
    assert way(table(Rule("r", mirror=Mirror("shadow")))).mirror == "shadow"
    assert "copies of 25.000% to shadow" in rules.explain(Sample()).outcome


def test_redirects() -> None:
    everything = When()
    assert location("https://{host}{path}{query}", everything, "/a%20b?c=d", host="x.org:80") == (
        "https://x.org/a%20b?c=d"
    )
    assert location("https://new.org{rest}", When(prefix=("/old",)), "/old/a") == "https://new.org/a"
    assert location("/{lang}/{2}", When(regex=("/(?P<lang>[a-z]+)-([0-9]+)",)), "/en-5") == "/en/5"


@pytest.mark.parametrize(
    ("to", "when", "target"),
    [
        ("/{1}", When(regex=("/go(.*)",)), "/go//evil.example"),
        ("/{1}", When(regex=("/go(.*)",)), "/go/%5cevil.example"),
        ("/{rest}", When(prefix=("/go",)), "/go//evil.example"),
        ("{path}", When(), "//evil.example"),
        ("{path}", When(), "/%0d%0aSet-Cookie:x=y"),
        ("https://{host}{path}", When(), "/evil.example"),
    ],
)
def test_a_redirect_leads_to_no_other_site_and_adds_no_field(to: str, when: When, target: str) -> None:
    url = location(to, when, target, host="")
    assert not urlsplit(url).netloc
    assert re.fullmatch(r"/(?![/\\])[!-~]*", url)


@given(TARGETS, st.text(max_size=10))
def test_a_redirect_is_one_line_and_its_host_is_a_host(target: str, host: str) -> None:
    url = location("https://{host}{path}{query}", When(), target, host=host)
    assert re.fullmatch(r"[!-~]+", url)
    assert re.match(r"/(?![/\\])|/\Z|https://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])/", url)


def test_a_rewrite_changes_path_and_fields() -> None:
    rule = Rule(
        "r", ToPool("api"), When(prefix=("/api",)), Rewrite("/v2{rest}", {"X-Area": "api"}, ("Cookie",))
    )
    found = way(table(rule), "/api/x%20y/?q=%2f")
    assert found == Route("r", "api", b"/v2/x%20y/?q=%2f", (("X-Area", "api"),), ("Cookie",))
    assert (
        way(table(Rule("r", when=When(prefix=("/api",)), rewrite=Rewrite("{rest}"))), "/api").target == b"/"
    )


def test_the_maintenance_page_escapes_its_message_and_says_when() -> None:
    answer = table(Rule("r", Maintenance("<b>soon</b>", 60))).route(Sample())
    assert isinstance(answer, Answered)
    assert answer.reply.status == 503
    assert ("Retry-After", "60") in answer.reply.fields
    assert "&lt;b&gt;soon" in answer.reply.body


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: When(path=("x",)), "path has 'x', which no path in normal form is: use '/x'"),
        (lambda: When(prefix=("/a/../b",)), "use '/b'"),
        (lambda: When(path="/a"), "path is '/a': use a list"),  # type: ignore[arg-type]
        (lambda: When(regex=("(a+)+",)), "regex repeats a group without an upper bound"),
        (lambda: When(regex=("(",)), "regex is '(', no regular expression"),
        (lambda: When(host=("Example.org:80",)), "host has 'Example.org:80': use a name in lower case"),
        (lambda: When(method=("get",)), "method has 'get': use a method in capitals"),
        (lambda: When(client=("10.0.0.1/8",)), "client: 10.0.0.1/8 has host bits set"),
        (lambda: When(header={"a b": "x"}), "header has 'a b': use the name of a header"),
        (lambda: When(cookie={"s": "~(a*)*"}), "cookie.s repeats a group"),
        (lambda: When(content_type=("json",)), "content_type has 'json'"),
        (lambda: Redirect("javascript:alert(1)"), "use a path such as /new{rest}"),
        (lambda: Redirect("https://example.org{1}"), "use a path such as"),
        (lambda: Redirect("https://example.org@{path}"), "to is 'https://example.org@{path}'"),
        (lambda: Redirect("/a\r\nX: y"), "in ASCII"),
        (lambda: Redirect("/a", 304), "status is 304"),
        (lambda: Redirect("/{a"), "a brace is left over"),
        (lambda: Rule("r", Redirect("/{2}"), When(regex=("/(.)",))), "then.to has {2}, which no group"),
        (lambda: Rule("r", Redirect("/{rest}")), "then.to has {rest}, which needs a prefix"),
        (lambda: Rule("r", Fixed(), rewrite=Rewrite("/x")), "no backend gets a request to rewrite"),
        (lambda: Fixed(99), "status is 99"),
        (lambda: Fixed(204, "text"), "has none"),  # type: ignore[arg-type]
        (lambda: Fixed(fields={"X": "a\r\nb"}), "fields.X is 'a\\r\\nb': use printable ASCII"),
        (lambda: Fixed(fields={"Content-Length": "3"}), "which the proxy writes itself"),
        (
            lambda: Rewrite(remove=("Transfer-Encoding",)),
            "remove has 'Transfer-Encoding', which the proxy writes itself",
        ),
        (lambda: Rewrite(set={"Host": "a b"}), "use a host"),
        (lambda: Split({}), "shares is {}"),
        (lambda: Split({"a": 0}), "all weights are 0"),
        (lambda: Split({"a": -1}), "shares.a is -1"),
        (lambda: Split({"a": 1}, key="cokie:x"), "key is 'cokie:x'"),
        (lambda: Mirror("s", 2), "share is 2"),
        (lambda: Routing((Rule("a"), Rule("a"))), "two have the name 'a'"),
        (lambda: Routing(doubtful="drop"), "doubtful is 'drop': use normalise, refuse, pass"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_field_and_the_mend(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_rules_that_no_request_reaches_are_named() -> None:
    routing = Routing((Rule("all"), Rule("late", when=When(path=("/a",)))))
    assert routing.problems() == ["rule 'late' is never reached: 'all' before it has no conditions"]
    assert not Routing((Rule("a", when=When(path=("/a",))), Rule("all"))).problems()


def test_exceptions_are_what_a_rule_does_not_fit() -> None:
    health, inside = When(path=("/api/health",)), When(client=("10.0.0.0/8",), method=("GET",))
    rules = table(Rule("no api", Fixed(403), When(prefix=("/api",)), unless=(health, inside)))

    def refused(target: str, method: str = "GET", client: str = "192.0.2.1") -> bool:
        return rules.route(Sample(target, method, client=client)).rule == "no api"

    assert refused("/api/x")
    assert not refused("/api/health")
    assert not refused("/api/x", client="10.1.1.1")
    assert refused("/api/x", "POST", client="10.1.1.1")
    assert not refused("/x")
    said = str(rules.explain(Sample("/api/health")))
    assert "skipped  no api: the exception (path is /api/health) is true, not false" in said


def test_an_exception_gives_nothing_to_templates_and_needs_conditions() -> None:
    rule = Rule("a", Redirect("/b{rest}"), When(prefix=("/a",)), unless=(When(prefix=("/a/b/c",)),))
    answer = table(rule).route(Sample("/a/b/d"))
    assert answer.reply.fields == (("Location", "/b/b/d"),)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="unless has no conditions, so the rule would never fit"):
        Rule("a", unless=(When(),))


def test_a_path_too_long_for_an_exception_is_refused() -> None:
    rules = table(Rule("a", ToPool("x"), unless=(When(regex=("/[a-z]+",)),)))
    assert rules.route(Sample("/" + "a" * 2000)).reply.status == 414  # type: ignore[union-attr]

"""The firewall: what each rule finds, what it leaves alone, and the rates on small corpora."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from time import thread_time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lbkit.core.detection_rates import Rate, rates, table
from lbkit.core.firewall import KNOWN, Firewall, Verdict
from lbkit.core.plain_text import LONGEST, plain
from lbkit.core.signatures import SIGNATURES, Where
from lbkit.corpora import AGENT, TYPES, Request, corpus

try:
    from re import _parser as sre  # type: ignore[attr-defined]
except ImportError:  # pragma: no cover
    import sre_parse as sre  # type: ignore[no-redef]


def verdict(request: Request, **options: Any) -> Verdict:
    return Firewall(**options).inspect(request, request.body, request.content_type)


def refuses(request: Request) -> bool:
    return verdict(request).status != 0


def measured(suffix: str = "") -> list[Rate]:
    return rates(refuses, corpus("attacks" + suffix), corpus("harmless" + suffix))


# -- how well it works -------------------------------------------------------------------------------


def test_rates_on_the_corpora_that_the_rules_were_tuned_on() -> None:
    rows = measured()
    print(table([("lbkit", rows)]))
    by = {(row.kind, row.hostile): row for row in rows}
    detected, alarms = by["all", True], by["all", False]
    assert detected.total >= 80
    assert alarms.total >= 80
    assert detected.share >= 0.95
    assert alarms.share <= 0.03


def test_rates_on_requests_that_the_rules_have_not_seen_are_worse() -> None:
    """The honest figures, though the same author wrote the rules and these. They were measured twice: before
    the rules were tuned on the other corpora, 67 % and 16 % of false alarms; after it, 67 % and 9 %."""
    rows = measured("_unseen")
    print(table([("lbkit", rows)]))
    by = {(row.kind, row.hostile): row for row in rows}
    assert 0.5 <= by["all", True].share <= 0.9
    assert 0 < by["all", False].share <= 0.2


def test_a_higher_threshold_detects_less_and_alarms_less() -> None:
    def shares(threshold: int) -> tuple[float, float]:
        firewall = Firewall(threshold)
        rows = rates(
            lambda r: firewall.inspect(r, r.body, r.content_type).status != 0,
            corpus("attacks") + corpus("attacks_unseen"),
            corpus("harmless") + corpus("harmless_unseen"),
        )
        detected, alarms = (row.share for row in rows if row.kind == "all")
        return detected, alarms

    found = [shares(threshold) for threshold in (2, 3, 5, 8)]
    assert found == sorted(found, reverse=True)
    assert found[0][1] > found[2][1] > found[3][1]


def test_a_table_puts_engines_side_by_side() -> None:
    rows = rates(lambda text: text == "x", [("a", "x"), ("a", "y")], [("b", "y")])
    assert rows == [
        Rate("a", True, 1, 2),
        Rate("all", True, 1, 2),
        Rate("b", False, 0, 1),
        Rate("all", False, 0, 1),
    ]
    lines = table([("one", rows), ("another", rows)]).splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["requests", "one", "another"],
        ["detected,", "a", "2", "50%", "50%"],
    ]


def test_every_rule_of_the_table_is_needed_by_a_request_of_the_corpora() -> None:
    found = {
        finding.id
        for name in ("attacks", "attacks_unseen", "harmless")
        for _, request in corpus(name)
        for finding in verdict(request).findings
    }
    assert {signature.id for signature in SIGNATURES} <= found


def test_ids_are_unique_and_every_signature_has_a_reason() -> None:
    assert len({signature.id for signature in SIGNATURES}) == len(SIGNATURES)
    assert all(2 <= signature.score <= 5 and signature.why for signature in SIGNATURES)
    assert len(KNOWN) > len(SIGNATURES)


# -- the text as the application reads it ------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "text", "seen"),
    [
        (b"a+b%20c", "a b c", ()),
        (b"%2541", "a", (201,)),
        (b"%25252525252541", "%252541", (201,)),  # the rounds are bounded
        (b"a%00b", "a b", (202,)),
        (b"%c0%af%c0%ae", "/.", (203,)),
        (b"%e0%80%af", "/", (203,)),
        (b"%u003c", "<", ()),
        ("＜Ｓ".encode(), "<s", ()),
        (b"a/**/b/*x*/c", "a b c", ()),
        (b"/*!50000union*/", "union", ()),
        (b"a/*b", "a/*b", ()),
        (b"a%0d%0a\t b", "a b", ()),
        (b"%zz%", "%zz%", ()),
        (b"\xff\xfe", "\ufffd\ufffd", ()),
    ],
)
def test_plain_text(raw: bytes, text: str, seen: tuple[int, ...]) -> None:
    assert plain(raw) == (text, seen)


def test_a_plus_is_a_space_in_arguments_only() -> None:
    assert plain(b"a+b", Where.PATH).text == "a+b"


def test_an_encoded_dot_scores_in_a_path_only() -> None:
    assert plain(b"/%2E%252e/", Where.PATH).seen[0] == 204
    assert 204 not in plain(b"%2E%252e/").seen


anything = st.binary(max_size=80) | st.text("%25uc0aef./\\<>'\"+-*!$ {}[]()=;&|", max_size=60).map(str.encode)


@settings(max_examples=200, deadline=None)
@given(
    anything, anything, anything, anything, st.sampled_from([b"", *TYPES.values(), b"text/x", b"image/png"])
)
@example(b"/", b"", b"", b'{"a": ' * 60_000, b"application/json")
@example(b"/", b"", b"", b'{"\\ud800": ["\\ud800", {"$ne": null}]}', b"application/json")
@example(b"/?" + b"&" * 150, b"", b"", b"[" + b'"a b",' * 900 + b"1]", b"application/json")
def test_hostile_input_never_raises(
    target: bytes, name: bytes, value: bytes, body: bytes, kind: bytes
) -> None:
    request = Request(target, named=((name.lower(), value), (b"cookie", value), (b"referer", value)))
    found = Firewall(deny=[ip_network("10.0.0.0/8")]).inspect(request, body, kind)
    assert found.status in (0, 400, 403)
    assert all(len(finding.excerpt) <= 60 and len(finding.part) <= 80 for finding in found.findings)


# -- regular expressions that cannot be made slow ------------------------------------------------------


def repeats(parsed: Any, inside: int = 1) -> Iterable[tuple[float, int]]:
    """Yield each repetition of a parsed pattern: its bound, and the product of those around it."""
    for op, value in parsed:
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            _, most, item = value
            yield most, inside
            yield from repeats(item, inside * min(most, 10**6))
        elif op is sre.SUBPATTERN:
            yield from repeats(value[-1], inside)
        elif op is sre.BRANCH:
            for branch in value[1]:
                yield from repeats(branch, inside)
        elif op in (sre.ASSERT, sre.ASSERT_NOT):
            yield from repeats(value[1], inside)


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda s: str(s.id))
def test_no_repetition_is_unbounded_or_deeply_nested(signature: Any) -> None:
    for most, around in repeats(sre.parse(signature.pattern.pattern)):
        assert most <= 150, "unbounded"
        assert most == 1 or around * most <= 200, "repetitions inside of repetitions"


def test_a_text_made_to_be_slow_is_not() -> None:
    """The longest text, of each piece that keeps some pattern busy: the time is that of a linear search."""
    pieces = [
        "<a ",
        "' or ",
        "(select ",
        "union ",
        "../",
        "j ",
        "{{",
        "${",
        "<iframe ",
        "select a ",
        ";update a",
    ]
    pieces += [
        "'+a(",
        "1 or (",
        "\u200b",
        "a--",
        "<%=",
        "/*",
        "%25",
        "%c0%af",
        "';",
        "(((",
        "sleep (",
        "<!/'on",
    ]
    for piece in pieces:
        for text in (piece * (LONGEST // len(piece)), "1 " + piece * (LONGEST // len(piece))):
            request = Request(b"/?q=" + text.encode())
            began = thread_time()
            verdict(request, max_target=10**6)
            assert thread_time() - began < 1.0, piece


# -- limits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "options", "status", "number"),
    [
        (Request(b"/"), {"deny": [ip_network("192.0.2.0/24")]}, 403, 101),
        (Request(b"/", client="2001:db8::1"), {"deny": [ip_network("2001:db8::/32")]}, 403, 101),
        (Request(b"/", b"TRACE"), {"methods": ("GET",)}, 405, 102),
        (Request(b"/" + b"a" * 4096), {}, 414, 103),
        (Request(b"/?" + b"&" * 200), {}, 400, 104),
        (Request(b"/", b"POST", length=11), {"max_body": 10}, 413, 105),
    ],
)
def test_a_limit_refuses_by_itself(request_: Request, options: Any, status: int, number: int) -> None:
    found = verdict(request_, threshold=1000, **options)
    assert (found.status, [finding.id for finding in found.findings]) == (status, [number])
    assert verdict(request_, off=[number], threshold=1000, **options).status == 0


def test_allowed_networks_are_not_looked_at() -> None:
    attack = Request(b"/.git/config")
    assert verdict(attack).status == 403
    assert verdict(attack, allow=[ip_network("192.0.2.1/32")]) == (0, 0, ())
    assert verdict(attack._replace(client="unix"), allow=[ip_network("192.0.2.1/32")]).status == 403


def test_a_rule_that_is_off_does_not_count() -> None:
    attack = Request(b"/.git/config")
    assert verdict(attack).findings[0].id == 3005
    assert verdict(attack, off=[3005]) == (0, 0, ())


def test_doubtful_words_add_up() -> None:
    def score(query: bytes) -> int:
        return verdict(Request(b"/?q=" + query)).score

    assert (score(b"what+is+information_schema"), score(b"select+a+plan+from+it")) == (3, 2)
    assert score(b"select+a+from+information_schema.tables") == 5


def test_each_rule_counts_once() -> None:
    assert verdict(Request(b"/?a=C%23&b=C%23&c=F%23")).score == 2


def test_a_missing_user_agent_is_doubtful() -> None:
    found = verdict(Request(b"/", named=()))
    assert (found.status, found.score) == (0, 2)


# -- what is not shown -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        Request(b"/", named=(*AGENT, (b"cookie", b"sid=S3CRET' or 1=1"))),
        Request(b"/?password=S3CRET'+or+1=1"),
        Request(b"/?api_key=S3CRET'+or+1=1"),
        Request(b"/", named=(*AGENT, (b"x-api-key", b"S3CRET' or 1=1"))),
        Request(b"/", body=b"password=S3CRET'--", content_type=TYPES["form"]),
        Request(b"/", body=b'{"token": "S3CRET\' or 1=1"}', content_type=TYPES["json"]),
        Request(b"/", body=b"S3CRET' or 1=1", content_type=b"text/plain"),
    ],
)
def test_secrets_are_compared_but_hidden(request_: Request) -> None:
    found = verdict(request_)
    assert found.status == 403
    assert {finding.excerpt for finding in found.findings} == {"[hidden]"}
    assert "S3CRET" not in repr(found)


def test_credentials_are_not_even_compared() -> None:
    assert verdict(Request(b"/", named=(*AGENT, (b"authorization", b"Basic ' or 1=1")))).score == 0


def test_many_texts_in_json_do_not_hide_one() -> None:
    body = (
        b'{"a": ["'
        + b'", "'.join([b"x y"] * 500)
        + b'"], "b": {"c": "<script>"}, "d": ["'
        + b'","' * 500
        + b'"]}'
    )
    assert verdict(Request(b"/", body=body, content_type=TYPES["json"])).status == 403


def test_files_are_not_compared() -> None:
    assert verdict(Request(b"/", body=b"<script>", content_type=b"image/png")).score == 0
    assert verdict(Request(b"/", body=b"<script>", content_type=b"")).status == 403

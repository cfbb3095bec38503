"""Content switching in the proxy: answers without a backend, and requests that are rewritten."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from scripted import Connection, Scripted, answers, ask, field, proxied

from lbkit.core import Intent
from lbkit.core.routing import Fixed, Maintenance, Redirect, Rewrite, Routing, Rule, Split, ToPool, When
from lbkit.core.sticky import Sticky
from lbkit.net import Proxy
from lbkit.net.config import BackendConfig, ConfigError, ProxyConfig
from lbkit.policy import Policy

BACKENDS = [{"address": "127.0.0.1:9001"}]


def mirror_head(connection: Connection) -> None:
    """Answer each request with its own head."""
    while head := connection.head():
        connection.body(head)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(head), head))


def get(target: str, more: str = "", method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: example.org\r\n{more}\r\n".encode("latin-1")


def routed(*rules: Rule, **options: Any) -> Any:
    return proxied(mirror_head, routing=Routing(rules, options.pop("doubtful", "normalise")), **options)


def test_requests_are_answered_without_a_backend() -> None:
    with routed(
        Rule("robots", Fixed(body="User-agent: *\n", fields={"X-A": "b"}), When(path=("/robots.txt",))),  # type: ignore[arg-type]
        Rule("old", Redirect("https://{host}/new{rest}{query}", 308), When(prefix=("/old",))),
        Rule("shop", Maintenance("Back at noon", 60), When(prefix=("/shop",))),
        Rule("none", Fixed(204), When(path=("/favicon.ico",))),
        Rule("no admin", Fixed(403), When(prefix=("/admin",))),
    ) as proxy:
        status, head, body = ask(proxy, get("/robots.txt"))
        assert (status, body, field(head, "X-A")) == (200, b"User-agent: *\n", ["b"])
        status, head, _ = ask(proxy, get("/old/a?b=c"))
        assert (status, field(head, "Location")) == (308, ["https://example.org/new/a?b=c"])
        status, head, body = ask(proxy, get("/shop/cart"))
        assert (status, field(head, "Retry-After"), field(head, "Cache-Control")) == (
            503,
            ["60"],
            ["no-store"],
        )
        assert b"Back at noon" in body
        status, head, body = ask(proxy, get("/favicon.ico"))
        assert (status, field(head, "Content-Length"), body) == (204, [], b"")
        for target in ("/admin", "/%61dmin", "//admin", "/x/../admin", "/x/..%2fadmin/"):
            assert ask(proxy, get(target))[0] == 403
        assert ask(proxy, get("/administrator"))[0] == 200
        status, head, body = ask(proxy, get("/robots.txt", method="HEAD"))
        assert (status, field(head, "Content-Length"), body) == (200, ["14"], b"")
        assert ask(proxy, get("/robots.txt", "Content-Length: 3\r\n", "POST") + b"abc")[0] == 200


def test_path_and_fields_are_rewritten_before_a_backend_gets_them() -> None:
    rewrite = Rewrite("/v2{rest}", {"X-Area": "api", "Host": "api.internal"}, ("Cookie",))
    with routed(Rule("api", when=When(prefix=("/api",)), rewrite=rewrite)) as proxy:
        _, _, seen = ask(
            proxy, get("/api/a%20b?x=/api", "X-Area: forged\r\ncookie: a\r\nCOOKIE: b\r\nX-B: c\r\n")
        )
    assert seen.startswith(b"GET /v2/a%20b?x=/api HTTP/1.1\r\n")
    assert field(seen, "X-Area") == ["api"]
    assert field(seen, "Host") == ["api.internal"]
    assert field(seen, "Cookie") == []
    assert field(seen, "X-B") == ["c"]
    assert field(seen, "X-Forwarded-Host") == ["example.org"]


def test_a_backend_reads_the_path_that_the_rules_have_read() -> None:
    with routed() as proxy:
        assert ask(proxy, get("/x/..%2f//a%0ab?q"))[2].startswith(b"GET /a%0Ab?q HTTP/1.1\r\n")
        assert ask(proxy, get("/a%20b"))[2].startswith(b"GET /a%20b HTTP/1.1\r\n")
        assert ask(proxy, get("*", method="OPTIONS"))[2].startswith(b"OPTIONS * HTTP/1.1\r\n")
    with routed(doubtful="pass") as proxy:
        assert ask(proxy, get("/x/..%2f//a"))[2].startswith(b"GET /x/..%2f//a HTTP/1.1\r\n")
    with routed(doubtful="refuse") as proxy:
        assert ask(proxy, get("/x/../a"))[0] == 400


def test_any_of_several_fields_of_one_name_may_fit() -> None:
    with routed(Rule("no bots", Fixed(403), When(header={"X-Kind": "bot"}))) as proxy:
        assert ask(proxy, get("/", "X-Kind: human\r\nx-kind:  bot \r\n"))[0] == 403
        assert ask(proxy, get("/", "X-Kind: human\r\n"))[0] == 200


def test_the_access_log_has_the_target_that_the_client_sent(tmp_path: Path) -> None:
    log = tmp_path / "log"
    rule = Rule("api", when=When(prefix=("/api",)), rewrite=Rewrite("/v2{rest}"))
    with routed(rule, access_log=str(log)) as proxy:
        assert ask(proxy, get("/x/../api/a"))[2].startswith(b"GET /v2/a ")
    assert '"GET /x/../api/a HTTP/1.1" 200' in log.read_text()


def test_explain_names_the_rule() -> None:
    with routed(Rule("no admin", Fixed(403), When(prefix=("/admin",))), explain=True) as proxy:
        assert field(ask(proxy, get("/admin"))[1], "X-Lbkit-Rule") == ["no admin"]
        assert field(ask(proxy, get("/"))[1], "X-Lbkit-Rule") == ["none"]
    with routed(Rule("no admin", Fixed(403), When(prefix=("/admin",)))) as proxy:
        assert field(ask(proxy, get("/"))[1], "X-Lbkit-Rule") == []


def test_rules_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "proxy.toml"
    file.write_text(
        """
        [[backends]]
        address = "127.0.0.1:9001"

        [routing]
        doubtful = "refuse"

        [[routing.rules]]
        name = "old shop"
        when = {host = ["shop.example.org", "*.shop.example.org"], prefix = ["/old"]}
        then = {kind = "redirect", to = "/shop{rest}", status = 301}

        [[routing.rules]]
        name = "api"
        when = {regex = ["/v([0-9])/.*"], header = {X-Beta = "1"}, client = ["10.0.0.0/8"]}
        rewrite = {path = "/api/{1}", set = {X-Area = "api"}, remove = ["Cookie"]}

        [[routing.rules]]
        name = "robots"
        when.path = ["/robots.txt"]
        then.kind = "fixed"
        then.body = '''
        User-agent: *
        Disallow: /
        '''
        """
    )
    config = ProxyConfig.load(file)
    assert config.routing
    assert [rule.name for rule in config.routing.rules] == ["old shop", "api", "robots"]
    assert config.routing.rules[0].then == Redirect("/shop{rest}", 301)
    assert ProxyConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("routing", "message"),
    [
        ({"rules": [{}]}, "routing.rules[0].name is missing"),
        ({"rule": []}, "routing: unknown rule; known are rules, doubtful; did you mean rules?"),
        (
            {"rules": [{"name": "a", "when": {"regx": ["x"]}}]},
            "routing.rules[0].when: unknown regx; known are host, path, prefix, regex, method, header, "
            "cookie, query, content_type, client; did you mean regex?",
        ),
        (
            {"rules": [{"name": "a", "when": {"path": "/a"}}]},
            "routing.rules[0].when.path is '/a': use a list",
        ),
        (
            {"rules": [{"name": "a", "when": {"regex": ["(a+)+"]}}]},
            "routing.rules[0].when.regex repeats a group",
        ),
        ({"rules": [{"name": "a", "then": {"kind": "fixd"}}]}, "did you mean fixed?"),
        ({"rules": [{"name": "a", "then": {"kind": "fixed", "body": 3}}]}, "then.body is 3: use a text"),
        (
            {"rules": [{"name": "a", "then": {"kind": "pool", "pool": "b"}}]},
            "routing.rules[0]: no backend is in the pool 'b'; there are default",
        ),
        (
            {"rules": [{"name": "a", "mirror": {"pool": "b"}}]},
            "routing.rules[0]: no backend is in the pool 'b'; there are default",
        ),
        ({"rules": [{"name": "a"}, {"name": "b"}]}, "routing: rule 'b' is never reached"),
    ],
)
def test_wrong_rules_in_a_file(routing: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        ProxyConfig.from_dict({"backends": BACKENDS, "routing": routing})


def named(name: bytes) -> Callable[[Connection], None]:
    return answers(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name))


@contextmanager
def three_pools(*rules: Rule, **options: Any) -> Iterator[Proxy]:
    """A proxy with a backend in each of three pools, which answers with its pool's name."""
    with ExitStack() as stack:
        names = ("canary", "default", "api")
        ports = [stack.enter_context(Scripted(named(name.encode()))).port for name in names]
        config = ProxyConfig(
            tuple(
                BackendConfig(f"127.0.0.1:{port}", f"b-{name}", pool=name)
                for name, port in zip(names, ports, strict=True)
            ),
            listen="127.0.0.1:0",
            routing=Routing(rules),
            **options,
        )
        yield stack.enter_context(Proxy(config=config))


def test_rules_send_requests_to_pools_by_name() -> None:
    rules = (
        Rule("api", ToPool("api"), When(prefix=("/api",))),
        Rule("split", Split({"default": 1, "canary": 1}, key="header:X-User"), When(header={"X-User": "*"})),
    )
    with three_pools(*rules) as proxy:
        assert ask(proxy, get("/"))[2] == b"default"
        assert ask(proxy, get("/api/x"))[2] == b"api"
        users = [ask(proxy, get("/", f"X-User: {i}\r\n"))[2] for i in range(40)]
        assert set(users) == {b"default", b"canary"}
        assert users == [ask(proxy, get("/", f"X-User: {i}\r\n"))[2] for i in range(40)]
        assert {b.name for b in proxy.pool.backends} == {"b-default", "b-api", "b-canary"}


def test_a_pool_without_an_eligible_backend_answers_503_and_others_serve() -> None:
    with three_pools(
        Rule("api", ToPool("api"), When(prefix=("/api",))), Rule("c", ToPool("canary"))
    ) as proxy:
        proxy.call(proxy.set_intent, "b-api", Intent.OUT)
        assert ask(proxy, get("/api"))[0] == 503
        assert ask(proxy, get("/"))[2] == b"canary"
        proxy.call(proxy.set_intent, "b-api", Intent.READY)
        assert ask(proxy, get("/api"))[2] == b"api"


def test_a_retry_stays_in_the_pool_that_the_rules_chose() -> None:
    default, reset = named(b"default"), Connection.reset
    with Scripted(default) as first, Scripted(reset) as broken, Scripted(named(b"api")) as api:
        backends = [("default", first), ("api", broken), ("api", api)]
        config = ProxyConfig(
            tuple(BackendConfig(f"127.0.0.1:{b.port}", f"b{i}", pool=p) for i, (p, b) in enumerate(backends)),
            listen="127.0.0.1:0",
            routing=Routing((Rule("api", ToPool("api"), When(prefix=("/api",))),)),
        )
        with Proxy(config=config) as proxy:
            assert [ask(proxy, get("/api"))[2] for _ in range(6)] == [b"api"] * 6


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"backends": [{"address": "a:1", "pool": "api"}]}, "backends: none is in the pool 'default'"),
        ({"routing": None}, "backends: no request goes to the pool 'api'; add routing.rules"),
        (
            {"policy": {"sticky": {"how": "route"}}},
            "policy.sticky.how is 'route', which has one session for all pools",
        ),
        (
            {"routing": {"rules": [{"name": "x", "then": {"kind": "pool", "pool": "apu"}}]}},
            "routing.rules[0]: no backend is in the pool 'apu'; there are default, api; did you mean api?",
        ),
        (
            {"backends": [{"address": "a:1", "pool": ""}]},
            "backends[0].pool is '': use a text that is not empty",
        ),
    ],
)
def test_pools_that_do_not_work(more: dict[str, Any], message: str) -> None:
    data = {"backends": [{"address": "a:1"}, {"address": "b:1", "pool": "api"}], "routing": {}, **more}
    with pytest.raises(ConfigError, match=re.escape(message)):
        ProxyConfig.from_dict({name: value for name, value in data.items() if value is not None})


@pytest.mark.parametrize("sticky", [Sticky("insert"), Sticky("insert", "s" * 64), Sticky("source")])
def test_a_client_has_a_session_in_each_pool(sticky: Sticky) -> None:
    """Without a cookie for each pool, a request to one would end the session in the other."""
    with ExitStack() as stack:
        heads: list[bytes] = []

        def script(name: bytes) -> Callable[[Connection], None]:
            def answer(connection: Connection) -> None:
                while head := connection.head():
                    heads.append(head)
                    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name)

            return answer

        scripts = [stack.enter_context(Scripted(script(b"%d" % i))) for i in range(8)]
        config = ProxyConfig(
            tuple(
                BackendConfig(f"127.0.0.1:{one.port}", f"b{i}", pool="default" if i < 4 else "the api")
                for i, one in enumerate(scripts)
            ),
            listen="127.0.0.1:0",
            routing=Routing((Rule("api", ToPool("the api"), When(prefix=("/api",))),)),
            policy=Policy("random", sticky=sticky),
        )
        with Proxy(config=config) as proxy:
            cookies: dict[str, str] = {}
            homes: dict[str, set[bytes]] = {"/": set(), "/api": set()}
            for _ in range(12):
                for target, home in homes.items():
                    pairs = "; ".join(f"{name}={value}" for name, value in cookies.items())
                    more = f"Cookie: {pairs}\r\n" if pairs else ""
                    _, head, body = ask(proxy, get(target, more))
                    home.add(body)
                    for text in field(head, "Set-Cookie"):
                        name, _, value = text.partition(";")[0].partition("=")
                        cookies[name] = value
    assert all(len(home) == 1 for home in homes.values())
    assert homes["/"] <= {b"0", b"1", b"2", b"3"}
    assert homes["/api"] <= {b"4", b"5", b"6", b"7"}
    assert not any(b"cookie" in head.lower() for head in heads)
    assert len(cookies) == (2 if sticky.how == "insert" else 0)

"""Rate limits at the edge: which requests pass, which wait, and the fields of the answers."""

from __future__ import annotations

import re
import time

import pytest
from scripted import GET, Client, ask, echo, proxied

from lbkit.core.scope import by_prefix
from lbkit.edge import RateLimit
from lbkit.net import Proxy, Timeouts
from lbkit.net.config import ConfigError, ProxyConfig


def five(**more: object) -> RateLimit:
    """Five at once, and hardly any more in a test's time."""
    return RateLimit({"kind": "token_bucket", "rate": 0.01, "burst": 5}, **more)


def get(path: str = "/", *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: a", *fields, "", ""]).encode()


def field(head: bytes, name: str) -> str | None:
    found = re.search(rf"(?mi)^{name}: *(.*?)\r$", head.decode())
    return found[1] if found else None


def test_a_limit_of_five_admits_five() -> None:
    with proxied(echo, rate_limits=[five()]) as proxy, Client(proxy) as client:
        statuses = []
        for _ in range(8):
            client.send(GET)
            statuses.append(client.answer()[0])
        assert statuses == [200] * 5 + [429] * 3  # on one connection, which stays open
        served = proxy.scripted[0]
        assert served.connections == 1


def test_the_fields_of_a_denial() -> None:
    with proxied(echo, rate_limits=[five(name="burst")], x_ratelimit=True) as proxy:
        heads = [ask(proxy)[1] for _ in range(6)]
    assert field(heads[0], "RateLimit") == '"burst";r=4;t=100'
    assert field(heads[0], "RateLimit-Policy") == '"burst";q=5'
    assert field(heads[0], "X-RateLimit-Remaining") == "4"
    assert field(heads[0], "Retry-After") is None
    assert heads[5].startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert field(heads[5], "Retry-After") in ("99", "100")
    assert field(heads[5], "RateLimit").startswith('"burst";r=0;t=')
    window = RateLimit({"kind": "fixed_window", "limit": 100, "window": 60})
    with proxied(echo, rate_limits=[window]) as proxy:
        assert field(ask(proxy)[1], "RateLimit-Policy") == '"default";q=100;w=60'


def test_each_client_has_a_limit_of_its_own() -> None:
    by_user = [five(key="header:X-User")]
    with proxied(echo, rate_limits=by_user) as proxy:
        ann = [ask(proxy, get("/", "X-User: ann"))[0] for _ in range(7)]
        bob = [ask(proxy, get("/", "X-User: bob"))[0] for _ in range(5)]
    assert ann == [200] * 5 + [429] * 2
    assert bob == [200] * 5
    everybody = [five(key="global")]
    with proxied(echo, rate_limits=everybody) as proxy:
        got = [ask(proxy, get("/", f"X-User: {i}"))[0] for i in range(7)]
    assert got == [200] * 5 + [429] * 2


def test_clients_behind_a_trusted_proxy_are_counted_apart() -> None:
    """And whoever is not behind one cannot make himself another by saying so."""
    forged = [get("/", f"X-Forwarded-For: 9.9.9.{i}") for i in range(7)]
    with proxied(echo, rate_limits=[five()], trusted=("127.0.0.0/8",)) as proxy:
        assert [ask(proxy, request)[0] for request in forged] == [200] * 7
    with proxied(echo, rate_limits=[five()]) as proxy:
        assert [ask(proxy, request)[0] for request in forged] == [200] * 5 + [429] * 2


@pytest.mark.parametrize(
    ("address", "prefix", "key"),
    [
        ("10.0.0.1", 64, "10.0.0.1"),
        ("2001:db8:1:2:3::4", 64, "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", 64, "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3::4", 128, "2001:db8:1:2:3::4/128"),
        ("::ffff:10.0.0.1", 64, "10.0.0.1"),
        ("no:address", 64, "no:address"),
    ],
)
def test_ipv6_counts_by_network(address: str, prefix: int, key: str) -> None:
    assert by_prefix(address, prefix) == key


def test_rules_apply_to_their_paths() -> None:
    rules = [five(path="/api"), RateLimit({"kind": "gcra", "rate": 0.01, "burst": 2}, path="/api/slow")]
    with proxied(echo, rate_limits=rules) as proxy:
        assert [ask(proxy, get("/"))[0] for _ in range(9)] == [200] * 9
        assert [ask(proxy, get("/api/slow"))[0] for _ in range(4)] == [200, 200, 429, 429]
        # What one rule denied, the other has not counted.
        assert [ask(proxy, get("/api/x"))[0] for _ in range(4)] == [200, 200, 200, 429]


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/x?y", "//api", "/%61pi", "/./api", "/x/../api", "/api/%2e"]
)
def test_other_spellings_of_a_path_do_not_evade_its_limit(path: str) -> None:
    rules = [five(path="/api")]
    with proxied(echo, rate_limits=rules) as proxy:
        for _ in range(5):
            ask(proxy, get("/api"))
        assert ask(proxy, get(path))[0] == 429
        assert ask(proxy, get("/apis"))[0] == 200  # a neighbour


def test_a_queue_limit_delays_requests_instead_of_denying_them() -> None:
    rule = RateLimit({"kind": "leaky_queue", "rate": 20, "capacity": 10})
    with proxied(echo, rate_limits=[rule]) as proxy, Client(proxy) as client:
        start = time.monotonic()
        for _ in range(5):
            client.send(GET)
            assert client.answer()[0] == 200
        assert 0.18 < time.monotonic() - start < 2


def test_a_delay_by_a_limit_does_not_count_as_silence_of_the_backend() -> None:
    rule = RateLimit({"kind": "leaky_queue", "rate": 1, "capacity": 5})
    with proxied(echo, rate_limits=[rule], timeouts=Timeouts(read=0.7)) as proxy:
        assert [ask(proxy)[0] for _ in range(2)] == [200, 200]  # the second after a second


def test_a_delayed_request_of_a_client_that_leaves_reaches_no_backend() -> None:
    rule = RateLimit({"kind": "leaky_queue", "rate": 2, "capacity": 9})
    with proxied(echo, rate_limits=[rule]) as proxy:
        ask(proxy)
        with Client(proxy) as client:
            client.send(GET)
            time.sleep(0.05)
        time.sleep(0.7)
        (backend,) = proxy.pool.backends
        assert backend.picks == 1


def test_the_body_of_a_denied_request_is_not_forwarded() -> None:
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    with proxied(echo, rate_limits=[five()]) as proxy:
        assert [ask(proxy, post)[0] for _ in range(7)] == [200] * 5 + [429] * 2
        with Client(proxy) as client:
            client.send(post[:-2])  # not whole yet
            assert client.answer()[0] == 429


def test_the_file() -> None:
    text = {
        "backends": [{"address": "127.0.0.1:1"}],
        "rate_limits": [
            {
                "limiter": {"kind": "several", "limits": [{"kind": "gcra", "rate": 10, "burst": 20}]},
                "path": "/api",
            }
        ],
        "x_ratelimit": True,
    }
    proxy = Proxy(config=ProxyConfig.from_dict(text))
    assert proxy.filters["rate_limits"].limits.x_headers
    for wrong, message in (
        ({"limiter": {"kind": "gcra", "rate": 0}}, "rate is 0: use a number above 0"),
        ({"limiter": {"kind": "bucket"}}, "no limiter 'bucket'"),
        ({"limiter": {"kind": "gcra", "rate": 1}, "key": "colour"}, "key is 'colour'"),
        ({"limiter": {"kind": "gcra", "rate": 1}, "name": 'a"b'}, "name"),
    ):
        with pytest.raises(ConfigError, match=re.escape(message)):
            ProxyConfig.from_dict({**text, "rate_limits": [wrong]})

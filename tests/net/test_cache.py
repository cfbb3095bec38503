"""The cache in the proxy: hits without a backend, validation, coalescing, and what must not be shared."""

from __future__ import annotations

import gzip
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from scripted import Client, Connection, Scripted, pool_of, proxied
from scripted import field as values

from lbkit.caching import Caching
from lbkit.compression import Compression
from lbkit.core.cache import CacheRules, FlightRules
from lbkit.core.routing import Routing, Rule, ToPool, When
from lbkit.core.sticky import Sticky
from lbkit.edge import Admission, RateLimit
from lbkit.firewall import FirewallRules
from lbkit.net import BackendConfig, Proxy, ProxyConfig
from lbkit.net.config import ConfigError
from lbkit.net.filters.cache import CacheFilter
from lbkit.policy import Policy

FRESH = ("Cache-Control: max-age=100",)
DATE = "Date: Fri, 01 Jan 2100 00:00:00 GMT"  # so that the age counts from the arrival, by any clock
BODY = b"0123456789" * 3
DEAD = 20.0  # seconds after which something is broken


def answer(*lines: str, body: bytes = BODY, status: str = "200 OK") -> bytes:
    fields = [DATE, *lines, f"Content-Length: {len(body)}"]
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode() + body


class Origin:
    """A backend that counts its requests, keeps their heads, and may be held."""

    def __init__(self, *replies: bytes | Callable[[bytes], bytes], held: bool = False) -> None:
        self.replies = list(replies)  # one after another; the last one again and again
        self.heads: list[bytes] = []
        self.got = threading.Semaphore(0)
        self.open = threading.Event()
        self.lock = threading.Lock()
        if not held:
            self.open.set()

    def __call__(self, connection: Connection) -> None:
        while head := connection.head():
            connection.body(head)
            with self.lock:
                self.heads.append(head)
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            self.got.release()
            self.open.wait(DEAD)
            data = reply if isinstance(reply, bytes) else reply(head)
            connection.send(data)

    def __len__(self) -> int:
        return len(self.heads)


@contextmanager
def caching(origin: Any, cache: Caching | None = None, **options: Any) -> Iterator[Proxy]:
    with proxied(origin, cache=cache or Caching(), **options) as proxy:
        yield proxy


def get(proxy: Proxy, *lines: str, path: str = "/a", method: str = "GET") -> tuple[int, bytes, bytes]:
    with Client(proxy) as client:
        client.send("\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *lines, "", ""]).encode())
        return client.answer(head_only=method == "HEAD")


def field(head: bytes, name: str) -> str:
    return ", ".join(values(head, name))


def said(head: bytes) -> str:
    return field(head, "Cache-Status")


def later(proxy: Proxy, seconds: float) -> None:
    """Let the cache's clock run ahead."""
    made = proxy.filters["cache"]
    assert isinstance(made, CacheFilter)
    made.clock = lambda: time.time() + seconds


def eventually(true: Callable[[], bool]) -> None:
    end = time.monotonic() + DEAD
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


# -- hits ---------------------------------------------------------------------------------------------


def test_a_hit_is_served_without_a_backend() -> None:
    origin = Origin(answer(*FRESH, "X-Kind: plain"))
    with caching(origin) as proxy:
        status, head, body = get(proxy)
        assert (status, body) == (200, BODY)
        assert said(head) == "lbkit; fwd=uri-miss; fwd-status=200; stored"
        status, head, body = get(proxy)
        assert (status, body) == (200, BODY)
        assert re.fullmatch(r"lbkit; hit; ttl=\d+", said(head))
        assert field(head, "Age") in ("0", "1", "2")
        assert field(head, "X-Kind") == "plain"
    assert len(origin) == 1


def test_one_connection_gets_a_hundred_hits() -> None:
    origin = Origin(answer(*FRESH))
    with caching(origin) as proxy, Client(proxy) as client:
        client.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
        assert [client.answer()[::2] for _ in range(100)] == [(200, BODY)] * 100
    assert len(origin) == 1


def test_hosts_targets_and_schemes_have_answers_of_their_own() -> None:
    origin = Origin(lambda head: answer(*FRESH, body=head.split(b"\r\n")[0]))
    with caching(origin, trusted=("127.0.0.1",)) as proxy:
        asked = [
            ("/a", "Host: a"),
            ("/a?x", "Host: a"),
            ("/a", "Host: b"),
            ("/a", "Host: a", "X-Forwarded-Proto: https"),
            ("/a", "Host: a", "X-Forwarded-Host: other"),
        ]
        for target, *lines in asked * 2:
            with Client(proxy) as client:
                client.send("\r\n".join([f"GET {target} HTTP/1.1", *lines, "", ""]).encode())
                assert client.answer()[2] == f"GET {target} HTTP/1.1".encode()
        with Client(proxy) as client:  # another spelling of the first
            client.send(b"GET http://A:80/a HTTP/1.1\r\nHost: ignored\r\n\r\n")
            assert "; hit;" in said(client.answer()[1])
    assert len(origin) == len(asked)


def test_a_head_is_answered_by_what_a_get_has_fetched() -> None:
    origin = Origin(answer(*FRESH))
    with caching(origin) as proxy:
        get(proxy)
        status, head, body = get(proxy, method="HEAD")
        assert (status, body, field(head, "Content-Length")) == (200, b"", str(len(BODY)))
        with Client(proxy) as client:
            client.send(b"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.answer(head_only=True)[0] == 200
            assert client.answer()[2] == BODY
    assert len(origin) == 1


def test_ranges_of_what_is_stored_are_served() -> None:
    origin = Origin(answer(*FRESH, 'ETag: "1"'))
    with caching(origin) as proxy:
        get(proxy)
        status, head, body = get(proxy, "Range: bytes=5-9")
        assert (status, body, field(head, "Content-Range")) == (206, b"56789", "bytes 5-9/30")
        assert get(proxy, "Range: bytes=-3")[::2] == (206, b"789")
        status, head, body = get(proxy, "Range: bytes=99-")
        assert (status, body, field(head, "Content-Range")) == (416, b"", "bytes */30")
        assert get(proxy, "Range: bytes=0-1", 'If-Range: "2"')[::2] == (200, BODY)
    assert len(origin) == 1


def test_a_range_of_what_is_not_stored_is_the_backends_business() -> None:
    part = answer("Content-Range: bytes 0-1/30", *FRESH, body=b"01", status="206 Partial Content")
    origin = Origin(part)
    with caching(origin) as proxy:
        for _ in range(2):
            assert get(proxy, "Range: bytes=0-1")[::2] == (206, b"01")
    assert b"range: bytes=0-1" in origin.heads[0].lower()
    assert len(origin) == 2


def test_a_client_that_has_it_gets_a_304() -> None:
    origin = Origin(answer(*FRESH, 'ETag: "1"'))
    with caching(origin) as proxy:
        get(proxy, 'If-None-Match: "1"')  # the cache fetches the whole
        assert b"if-none-match" not in origin.heads[0].lower()
        status, head, body = get(proxy, 'If-None-Match: "0", W/"1"')
        assert (status, body, field(head, "ETag")) == (304, b"", '"1"')
        assert get(proxy, 'If-None-Match: "2"')[0] == 200
    assert len(origin) == 1


def test_only_if_cached_is_never_forwarded() -> None:
    origin = Origin(answer(*FRESH))
    with caching(origin) as proxy:
        assert get(proxy, "Cache-Control: only-if-cached")[0] == 504
        get(proxy)
        assert get(proxy, "Cache-Control: only-if-cached")[0] == 200
    assert len(origin) == 1


def test_without_a_name_no_status_is_shown() -> None:
    with caching(Origin(answer(*FRESH)), Caching(name="")) as proxy:
        for _ in range(2):
            assert b"cache-status" not in get(proxy)[1].lower()


def test_control_is_for_answers_that_have_none() -> None:
    origin = Origin(answer(), answer("Cache-Control: no-store"), answer(status="404 Not Found"))
    with caching(origin, Caching(control="max-age=50")) as proxy:
        assert field(get(proxy)[1], "Cache-Control") == "max-age=50"
        assert "hit" in said(get(proxy)[1])
        assert field(get(proxy, path="/b")[1], "Cache-Control") == "no-store"
        assert b"cache-control" not in get(proxy, path="/c")[1].lower()
    assert len(origin) == 3


# -- what must not be shared ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "fields"),
    [
        ((), ("Cache-Control: private, max-age=9",)),
        ((), ("Cache-Control: no-store",)),
        ((), (*FRESH, "Set-Cookie: id=1")),
        ((), (*FRESH, "Vary: *")),
        (("Authorization: Basic QTpC",), FRESH),
        (("Cache-Control: no-store",), FRESH),
        ((), ()),
    ],
)
def test_what_must_not_be_stored_is_asked_for_each_time(
    lines: tuple[str, ...], fields: tuple[str, ...]
) -> None:
    origin = Origin(answer(*fields))
    with caching(origin) as proxy:
        for _ in range(2):
            status, head, body = get(proxy, *lines)
            assert (status, body) == (200, BODY)
            assert "hit" not in said(head)
            assert "stored" not in re.sub('detail=".*"', "", said(head))
    assert len(origin) == 2


def test_a_body_that_breaks_off_is_not_stored() -> None:
    whole = answer(*FRESH)
    origin = Scripted(lambda connection: (connection.head(), connection.send(whole[:-5]))[0] and None)
    with origin, Proxy(pool_of(origin.port), cache=Caching()) as proxy:
        for _ in range(2):
            with pytest.raises(ConnectionError):
                get(proxy)
    assert origin.connections == 2


def test_what_is_too_long_passes_and_is_not_stored() -> None:
    long = b"x" * 5000
    chunked = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=9\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked += b"1388\r\n%b\r\n0\r\n\r\n" % long
    origin = Origin(answer(*FRESH, body=long), chunked)
    with caching(origin, Caching(rules=CacheRules(max_entry=4000))) as proxy:
        _, head, body = get(proxy)
        assert body == long
        assert "5000 bytes are more" in said(head)
        assert long in get(proxy)[2]
        assert long in get(proxy)[2]
        made = proxy.filters["cache"]
        assert isinstance(made, CacheFilter)
        assert made.arriving == 0
    assert len(origin) == 3


def test_the_memory_is_bounded_and_the_least_used_goes_first() -> None:
    origin = Origin(answer(*FRESH, body=b"x" * 2000))
    with caching(origin, Caching(rules=CacheRules(max_bytes=20_000))) as proxy:
        for i in range(30):
            get(proxy, path=f"/{i}")
            get(proxy, path="/0")
        made = proxy.filters["cache"]
        assert isinstance(made, CacheFilter)
        assert made.cache.entries.size <= 20_000
        assert made.cache.entries.evicted > 20
    assert len(origin) == 30


def test_answers_vary_by_the_fields_that_they_name() -> None:
    origin = Origin(lambda head: answer(*FRESH, "Vary: X-Language", body=field(head, "X-Language").encode()))
    with caching(origin) as proxy:
        for language in ("de", "en") * 2:
            assert get(proxy, f"X-Language: {language}")[2] == language.encode()
    assert len(origin) == 2


def test_a_successful_unsafe_request_makes_what_is_stored_doubtful() -> None:
    origin = Origin(lambda head: answer(*FRESH, status="500 Oh" if b"PUT" in head else "200 OK"))
    with caching(origin) as proxy:
        get(proxy)
        get(proxy, "Content-Length: 0", method="PUT")
        assert "hit" in said(get(proxy)[1])
        get(proxy, "Content-Length: 0", method="POST")
        assert "hit" not in said(get(proxy)[1])


# -- stale answers ----------------------------------------------------------------------------------------


def test_a_stale_answer_is_validated_and_fresh_again() -> None:
    origin = Origin(
        answer(*FRESH, 'ETag: "1"'), answer(*FRESH, 'ETag: "1"', body=b"", status="304 Not Modified")
    )
    with caching(origin) as proxy:
        get(proxy)
        later(proxy, 200)
        status, head, body = get(proxy)
        assert (status, body) == (200, BODY)
        assert said(head) == "lbkit; fwd=stale; fwd-status=304"
        assert b'if-none-match: "1"' in origin.heads[1].lower()
        assert "hit" in said(get(proxy)[1])
    assert len(origin) == 2


def test_a_validation_may_bring_another_answer() -> None:
    origin = Origin(answer(*FRESH, 'ETag: "1"'), answer(*FRESH, 'ETag: "2"', body=b"new"))
    with caching(origin) as proxy:
        get(proxy)
        later(proxy, 200)
        assert [get(proxy)[2] for _ in range(2)] == [b"new"] * 2
    assert len(origin) == 2


def test_a_304_about_another_answer_is_an_error_once() -> None:
    origin = Origin(answer(*FRESH, 'ETag: "1"'), answer('ETag: "7"', body=b"", status="304 No"), answer())
    with caching(origin) as proxy:
        get(proxy)
        later(proxy, 200)
        assert [get(proxy)[0] for _ in range(2)] == [502, 200]


def test_stale_while_revalidate_serves_at_once_and_asks_once() -> None:
    fields = ("Cache-Control: max-age=10, stale-while-revalidate=1000",)
    fields += ("Content-Type: text/plain",)
    origin = Origin(answer(*fields), answer(*fields, body=b"new"))
    with caching(origin, compression=Compression(minimum=1)) as proxy:
        get(proxy)
        origin.got.acquire(timeout=DEAD)
        origin.open.clear()
        later(proxy, 20)
        for _ in range(5):  # the backend does not answer yet
            status, head, body = get(proxy, "Accept-Encoding: gzip")
            assert (status, gzip.decompress(body)) == (200, BODY)
            assert re.fullmatch(r"lbkit; hit; ttl=-\d+", said(head))
        assert origin.got.acquire(timeout=DEAD)
        origin.open.set()
        eventually(lambda: get(proxy)[2] == b"new")
        eventually(
            lambda: (
                not proxy.call(lambda: any(c.__class__.__name__ == "NoClient" for c in proxy.listener.open))
            )
        )
    assert len(origin) == 2


def test_a_stop_ends_what_is_asked_in_the_background() -> None:
    fields = ("Cache-Control: max-age=10, stale-while-revalidate=1000",)
    origin = Origin(answer(*fields))
    with caching(origin) as proxy:
        get(proxy)
        origin.got.acquire(timeout=DEAD)
        origin.open.clear()
        later(proxy, 20)
        get(proxy)
        assert origin.got.acquire(timeout=DEAD)
        began = time.monotonic()
        proxy.stop(grace=DEAD)
        assert time.monotonic() - began < DEAD
        origin.open.set()


@pytest.mark.parametrize("how", ["status", "dead"])
def test_stale_if_error_hides_a_failure(how: str) -> None:
    fields = ("Cache-Control: max-age=10, stale-if-error=1000",)
    origin = Origin(answer(*fields), answer(status="503 Oh"))
    with caching(origin, hide_errors=True) as proxy:
        get(proxy)
        later(proxy, 20)
        if how == "dead":
            proxy.scripted[0].close()  # type: ignore[attr-defined]
        status, head, body = get(proxy)
        assert (status, body) == (200, BODY)
        assert 'detail="stale-if-error"' in said(head)
        later(proxy, 2000)
        assert get(proxy)[0] in (502, 503)


# -- coalescing ---------------------------------------------------------------------------------------------


Ask = Callable[..., list[Client]]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Sends requests without waiting for the answers."""
    made: list[Client] = []

    def several(proxy: Proxy, count: int, *lines: str) -> list[Client]:
        clients = [Client(proxy) for _ in range(count)]
        made.extend(clients)
        for client in clients:
            client.send("\r\n".join(["GET /a HTTP/1.1", "Host: a", *lines, "", ""]).encode())
        return clients

    yield several
    for client in made:
        client.sock.close()


def following(proxy: Proxy) -> int:
    made = proxy.filters["cache"]
    assert isinstance(made, CacheFilter)
    return proxy.call(lambda: len(made._following))


@pytest.mark.parametrize(("coalesce", "fetched"), [(True, 1), (False, 20)])
def test_a_stampede_is_one_request_with_coalescing(coalesce: bool, fetched: int, ask: Ask) -> None:
    origin = Origin(answer(*FRESH), held=True)
    with caching(origin, Caching(coalesce=coalesce)) as proxy:
        clients = ask(proxy, 20)
        for _ in range(fetched):
            assert origin.got.acquire(timeout=DEAD)
        if coalesce:
            eventually(lambda: following(proxy) == 19)
        origin.open.set()
        answers = [client.answer() for client in clients]
        assert [a[::2] for a in answers] == [(200, BODY)] * 20
        collapsed = sum("collapsed" in said(head) for _, head, _ in answers)
        assert collapsed == (19 if coalesce else 0)
        assert following(proxy) == 0
    assert len(origin) == fetched


def test_a_client_that_leaves_does_not_end_the_flight_of_others(ask: Ask) -> None:
    origin = Origin(answer(*FRESH), held=True)
    with caching(origin) as proxy:
        (leader,) = ask(proxy, 1)
        assert origin.got.acquire(timeout=DEAD)
        followers = ask(proxy, 5)
        eventually(lambda: following(proxy) == 5)
        leader.sock.close()
        followers.pop().sock.close()
        eventually(lambda: following(proxy) == 4)
        origin.open.set()
        assert [client.answer()[::2] for client in followers] == [(200, BODY)] * 4
        assert "hit" in said(get(proxy)[1])
    assert len(origin) == 1


def test_a_client_that_leaves_alone_ends_its_request(ask: Ask) -> None:
    origin = Origin(answer(*FRESH), held=True)
    with caching(origin) as proxy:
        (leader,) = ask(proxy, 1)
        assert origin.got.acquire(timeout=DEAD)
        leader.sock.close()
        eventually(lambda: not proxy.pool.backends[0].in_flight)
        origin.open.set()
        assert get(proxy)[0] == 200


def test_followers_of_what_cannot_be_shared_ask_for_themselves(ask: Ask) -> None:
    origin = Origin(answer("Cache-Control: private"), held=True)
    with caching(origin) as proxy:
        clients = ask(proxy, 5)
        assert origin.got.acquire(timeout=DEAD)
        eventually(lambda: following(proxy) == 4)
        origin.open.set()
        assert [client.answer()[0] for client in clients] == [200] * 5
    assert len(origin) == 5


def test_after_a_failure_the_next_one_asks(ask: Ask) -> None:
    origin = Origin(answer(status="503 Oh"), answer(*FRESH), held=True)
    with caching(origin) as proxy:
        clients = ask(proxy, 5)
        assert origin.got.acquire(timeout=DEAD)
        eventually(lambda: following(proxy) == 4)
        origin.open.set()
        assert sorted(client.answer()[0] for client in clients) == [200] * 4 + [503]
    assert len(origin) == 2


def test_many_followers_of_a_dead_backend_fail_one_after_another(ask: Ask) -> None:
    origin = Origin(answer(*FRESH), held=True)
    with caching(origin, policy=Policy(retries=0)) as proxy:
        clients = ask(proxy, 300)
        assert origin.got.acquire(timeout=DEAD)
        eventually(lambda: following(proxy) == 299)
        proxy.scripted[0].close()  # type: ignore[attr-defined]
        assert {client.answer()[0] for client in clients} == {502}
        assert following(proxy) == 0
        origin.open.set()


def test_followers_wait_no_longer_than_their_patience(ask: Ask) -> None:
    origin = Origin(answer(*FRESH), held=True)
    with caching(origin, Caching(flights=FlightRules(patience=0.1))) as proxy:
        clients = ask(proxy, 3)
        for _ in range(3):
            assert origin.got.acquire(timeout=DEAD)
        origin.open.set()
        assert [client.answer()[0] for client in clients] == [200] * 3


def test_followers_get_what_varies_by_what_they_ask(ask: Ask) -> None:
    def reply(head: bytes) -> bytes:
        return answer(*FRESH, "Vary: X-Language", body=field(head, "X-Language").encode())

    origin = Origin(reply, held=True)
    with caching(origin) as proxy:
        first = ask(proxy, 1, "X-Language: de")
        assert origin.got.acquire(timeout=DEAD)
        others = ask(proxy, 4, "X-Language: en")
        eventually(lambda: following(proxy) == 4)
        origin.open.set()
        assert [client.answer()[2] for client in first + others] == [b"de"] + [b"en"] * 4
    assert len(origin) == 2


# -- with other features ----------------------------------------------------------------------------------


def test_one_representation_is_stored_and_compressed_for_each_client() -> None:
    origin = Origin(answer(*FRESH, "Content-Type: text/plain", body=b"abc " * 500))
    with caching(origin, compression=Compression(minimum=10)) as proxy:
        for accept in ("gzip", "gzip, br", "identity", "gzip;q=0"):
            _, head, body = get(proxy, f"Accept-Encoding: {accept}")
            if accept.startswith("gzip") and "q=0" not in accept:
                assert field(head, "Content-Encoding") == "gzip"
                body = gzip.decompress(body)
            assert body == b"abc " * 500
            assert field(head, "Vary") == "Accept-Encoding"
    assert len(origin) == 1


def test_a_cookie_of_the_balancer_is_not_stored() -> None:
    with Scripted(Origin(answer(*FRESH))) as origin:
        config = ProxyConfig(
            BackendConfig(f"127.0.0.1:{origin.port}", "one"),
            listen="127.0.0.1:0",
            cache=Caching(),
            policy=Policy(sticky=Sticky(secret="0123456789abcdef")),
        )
        with Proxy(config=config) as proxy:
            assert b"set-cookie" in get(proxy)[1].lower()
            _, head, _ = get(proxy)
            assert "hit" in said(head)
            assert b"set-cookie" not in head.lower()


def test_pools_of_the_routing_do_not_share_answers() -> None:
    stable, canary = (Origin(answer(*FRESH, body=name)) for name in (b"stable", b"canary"))
    with Scripted(stable) as one, Scripted(canary) as two:
        config = ProxyConfig(
            (
                BackendConfig(f"127.0.0.1:{one.port}", "one"),
                BackendConfig(f"127.0.0.1:{two.port}", "two", pool="canary"),
            ),
            listen="127.0.0.1:0",
            cache=Caching(),
            routing=Routing((Rule("beta", ToPool("canary"), When(header={"X-Beta": "1"})),)),
        )
        with Proxy(config=config) as proxy:
            for _ in range(2):
                assert get(proxy)[2] == b"stable"
                assert get(proxy, "X-Beta: 1")[2] == b"canary"
            assert proxy.call(proxy.purge, "http://a/a") == 2
    assert (len(stable), len(canary)) == (1, 1)


# -- purge, and the file ---------------------------------------------------------------------------------


def test_purge_forgets_a_url_or_all() -> None:
    origin = Origin(answer(*FRESH))
    with caching(origin) as proxy:
        for path in ("/a", "/b", "/"):
            get(proxy, path=path)
        assert proxy.call(proxy.purge, "http://A:80/a") == 1
        assert proxy.call(proxy.purge, "http://a") == 1
        assert proxy.call(proxy.purge, "http://a/nothing") == 0
        assert proxy.call(proxy.purge) == 1
        with pytest.raises(ValueError, match="use one as clients do"):
            proxy.call(proxy.purge, "/a")


def test_what_was_asked_before_a_purge_is_not_stored(ask: Ask) -> None:
    origin = Origin(answer(*FRESH, body=b"old"), answer(*FRESH), held=True)
    with caching(origin) as proxy:
        (client,) = ask(proxy, 1)
        assert origin.got.acquire(timeout=DEAD)
        proxy.call(proxy.purge)
        origin.open.set()
        assert client.answer()[2] == b"old"
        assert get(proxy)[2] == BODY


def test_purge_without_a_cache_says_so() -> None:
    with proxied(Origin(answer())) as proxy, pytest.raises(LookupError, match=r"give it \[cache\]"):
        proxy.call(proxy.purge)


def test_the_file_has_the_rules_and_its_errors_name_the_field() -> None:
    data = {
        "backends": [{"address": "127.0.0.1:1"}],
        "cache": {"control": "max-age=9", "rules": {"max_bytes": 5000}, "flights": {"patience": 1.0}},
    }
    config = ProxyConfig.from_dict(data)
    assert config.cache == Caching(
        "max-age=9", rules=CacheRules(max_bytes=5000), flights=FlightRules(patience=1.0)
    )
    assert config.to_dict()["cache"] == data["cache"]
    wrong = {**data, "cache": {"control": "a\nb", "name": "a b", "rules": {"max_byte": 5}, "coalesce": 1}}
    with pytest.raises(ConfigError) as caught:
        ProxyConfig.from_dict(wrong)
    for name in ("cache.control", "cache.name", "cache.rules", "cache.coalesce"):
        assert name in str(caught.value)


def test_what_the_firewall_refuses_is_not_served_either() -> None:
    origin = Origin(answer(*FRESH))
    with caching(origin, firewall=FirewallRules(mode="block")) as proxy:
        attack = "/a?q=1%27%20union%20select%20password%20from%20users--"
        assert get(proxy, path=attack)[0] == 403
        get(proxy)
        assert get(proxy, "Content-Length: 0", method="TRACE")[0] == 405
    assert len(origin) == 1


def test_limits_count_hits_and_admission_does_not() -> None:
    limit = RateLimit({"kind": "token_bucket", "rate": 0.001, "burst": 3})
    gate = Admission(limit={"kind": "concurrency_limit", "limit": 1}, max_queue=0)
    origin = Origin(answer(*FRESH), answer(*FRESH))
    with caching(origin, rate_limits=limit, admission=gate) as proxy:
        get(proxy)
        origin.got.acquire(timeout=DEAD)
        origin.open.clear()
        with Client(proxy) as other:  # it takes the only place
            other.send(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n")
            assert origin.got.acquire(timeout=DEAD)
            assert get(proxy)[0] == 200
            assert get(proxy)[0] == 429
            origin.open.set()
            assert other.answer()[0] == 200


def test_hidden_fields_stay_hidden_in_hits() -> None:
    with caching(Origin(answer(*FRESH, "Server: secret")), hide=("Server",)) as proxy:
        for _ in range(2):
            assert b"secret" not in get(proxy)[1]

"""Limits of a single client: how slowly its bodies may come, and how many connections it may have."""

from __future__ import annotations

import select
import threading
import time
from contextlib import ExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import need_feature
from scripted import GET, TIMEOUT, Client, Connection, ask, echo, proxied

from lbkit.net.config import ConfigError, ProxyConfig
from lbkit.net.http1.pace import Pace
from lbkit.net.settings import Limits, Timeouts

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SLOW = {"limits": Limits(body_rate=1000), "timeouts": Timeouts(body=0.3)}


# -- slow bodies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("head", "drop"), [(POST, b"x"), (CHUNKED, b"1\r\nx\r\n")], ids=["length", "chunks"])
def test_a_body_that_comes_too_slowly_is_408_though_it_never_stops(head: bytes, drop: bytes) -> None:
    gone = threading.Event()

    def script(connection: Connection) -> None:
        with suppress(OSError):
            connection.head()
            while connection.sock.recv(100):
                pass
        gone.set()

    with proxied(script, **SLOW) as proxy, Client(proxy) as client:
        client.send(head + drop)
        began = time.monotonic()
        while not select.select([client.sock], [], [], 0.05)[0]:
            client.send(drop)
            assert time.monotonic() - began < TIMEOUT
        status, _, body = client.answer()
        assert (status, body) == (408, b"408 Request Timeout: the body comes too slowly\n")
        assert gone.wait(TIMEOUT)  # the backend is free again


def test_a_body_that_is_fast_enough_passes() -> None:
    with proxied(echo, **SLOW) as proxy, Client(proxy) as client:
        client.send(POST)
        for _ in range(5):
            client.send(b"x" * 200)
            time.sleep(0.1)  # 2000 bytes a second
        assert client.answer()[0] == 200
        client.send(GET)  # no body, so no pace
        assert client.answer()[0] == 200


def test_a_client_is_not_blamed_for_a_backend_that_does_not_read() -> None:
    go_on = threading.Event()

    def script(connection: Connection) -> None:
        head = connection.head()
        assert go_on.wait(TIMEOUT)
        size = len(connection.body(head))
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n%08d" % size)

    size = 8_000_000
    limits, timeouts = Limits(body_rate=10_000_000), Timeouts(body=0.2)
    with proxied(script, limits=limits, timeouts=timeouts) as proxy, Client(proxy) as client:
        threading.Timer(1.0, go_on.set).start()
        client.send(POST.replace(b"1000", b"%d" % size) + bytes(size))
        assert client.answer()[2] == b"%08d" % size


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 100)), max_size=20), st.floats(0, 10))
def test_the_pace_is_the_average_from_the_first_byte_on(
    steps: list[tuple[float, int]], patience: float
) -> None:
    pace, now, got, first = Pace(10, patience), 100.0, 0, None
    assert not pace.too_slow(1e9)  # nothing has come: that is another timeout
    for wait, size in steps:
        now += wait
        pace.took(size, now)
        got += size
        first = now if first is None else first
        spent = now - first - patience
        assert pace.too_slow(now) == (spent > 0 and got < 10 * spent)
    pace.pause()
    assert not pace.too_slow(1e9)


# -- many connections --------------------------------------------------------------------------------


def test_a_client_with_too_many_connections_is_429_and_may_come_back() -> None:
    with proxied(echo, limits=Limits(connections_per_client=2)) as proxy:
        with ExitStack() as stack:
            first, second = (stack.enter_context(Client(proxy)) for _ in range(2))
            for client in (first, second):
                client.send(GET)
                assert client.answer()[0] == 200
            with Client(proxy) as third:
                status, _, body = third.answer()
                assert (status, body) == (
                    429,
                    b"429 Too Many Requests: too many connections from this client\n",
                )
                assert third.closed()
            first.send(GET)
            assert first.answer()[0] == 200
        deadline = time.monotonic() + TIMEOUT
        while proxy.call(lambda: len(proxy.listener.open)):
            assert time.monotonic() < deadline
        assert ask(proxy)[0] == 200
        while proxy.call(lambda: len(proxy.listener.open)):
            assert time.monotonic() < deadline
        assert not proxy.listener._per_client
        assert not proxy.listener._client_of


def test_connections_of_http_2_count_too_and_are_counted_once() -> None:
    need_feature("http2")
    from http2_client import Http2Client, get, serving

    with serving(echo, limits=Limits(connections_per_client=1)) as proxy:
        for _ in range(2):
            with Http2Client(proxy) as client:
                assert client.ask(get()).status == 200
                assert ask(proxy)[0] == 429
            deadline = time.monotonic() + TIMEOUT
            while proxy.call(lambda: len(proxy.listener.open)):
                assert time.monotonic() < deadline
            assert not proxy.listener._per_client
            assert not proxy.listener._client_of


def test_trusted_proxies_have_as_many_connections_as_they_like() -> None:
    with ExitStack() as stack:
        limits = Limits(connections_per_client=1)
        proxy = stack.enter_context(proxied(echo, limits=limits, trusted=["127.0.0.1"]))
        for _ in range(3):
            client = stack.enter_context(Client(proxy))
            client.send(GET)
            assert client.answer()[0] == 200


def test_a_tunnel_is_counted_no_longer() -> None:
    def switch(connection: Connection) -> None:
        while head := connection.head():
            if b"Upgrade" not in head:
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                continue
            connection.send(b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            connection.sock.recv(1)
            return

    with proxied(switch, limits=Limits(connections_per_client=1)) as proxy, Client(proxy) as client:
        client.send(UPGRADE)
        assert client.answer()[0] == 101
        assert ask(proxy)[0] == 200


@pytest.mark.parametrize(
    ("section", "setting", "message"),
    [
        ("limits", {"body_rate": -1}, "body_rate is -1"),
        ("limits", {"connections_per_client": 0}, "connections_per_client is 0"),
        ("timeouts", {"body": -1}, "body is -1"),
    ],
)
def test_a_wrong_setting_is_named(section: str, setting: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ProxyConfig.from_dict({"backends": [{"address": "127.0.0.1:1"}], section: setting})

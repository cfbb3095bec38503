"""Bodies of answers go out at a rate; whole, in order, and without being held in memory."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from scripted import GET, TIMEOUT, Client, Connection, Script, answers, ask, proxied, unchunked

from lbkit.edge import Admission
from lbkit.net import Proxy, Timeouts
from lbkit.net.config import ConfigError, ProxyConfig
from lbkit.net.filters.bandwidth import Bandwidth, Pace

SIZE = 100_000
BODY = bytes(i * i // 251 % 256 for i in range(SIZE))  # a piece that is lost or moved is seen
PIECE = 7_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\nHost: a\r\n\r\n"
SLOW = Bandwidth(rate=1000, burst=1000)  # for what shall not be over while a test looks at it


def chunked(body: bytes) -> bytes:
    pieces = [body[i : i + PIECE] for i in range(0, len(body), PIECE)]
    coded = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + coded + b"0\r\n\r\n"


def once(data: bytes) -> Script:
    """Answers one request, and closes."""

    def script(connection: Connection) -> None:
        connection.head()
        connection.send(data)

    return script


def sized(connection: Connection) -> None:
    """Answers /123 with 123 bytes, and so /other/123."""
    while head := connection.head():
        size = int(head.split()[1].rpartition(b"/")[2])
        connection.send(OK % size + (BODY * (size // SIZE + 1))[:size])


def get(target: object) -> bytes:
    return f"GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.002)


def in_flight(proxy: Proxy) -> int:
    return proxy.call(lambda: sum(backend.in_flight for backend in proxy.pool.backends))


def paces(proxy: Proxy) -> list[Pace]:
    """Those of all answers, in the same order every time while no client comes or leaves."""
    exchanges = [client._current for client in proxy.listener.open if client._current]
    states = [state for exchange in exchanges for state in exchange.state]
    return [state for state in states if isinstance(state, Pace)]


def held(proxy: Proxy) -> int:
    """Bytes of answers that are in the proxy."""

    def count() -> int:
        written = sum(client.transport.get_write_buffer_size() for client in proxy.listener.open)
        return written + sum(len(pace.waiting) for pace in paces(proxy))

    return proxy.call(count)


def stalled(count: Callable[[], int]) -> int:
    """What it counts, when it has not changed for a while."""
    seen, now = -1, count()
    while now != seen:
        time.sleep(0.3)
        seen, now = now, count()
    return now


# -- how fast ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "request_", "read"),
    [
        (answers(OK % SIZE + BODY), GET, lambda body: body),
        (answers(chunked(BODY)), GET, unchunked),
        (once(b"HTTP/1.1 200 OK\r\n\r\n" + BODY), GET, unchunked),
        (answers(OK % SIZE + BODY), OLD, None),
        (answers(chunked(BODY)), OLD, None),
        (once(b"HTTP/1.0 200 OK\r\n\r\n" + BODY), OLD, None),
    ],
    ids=["length", "chunked", "until close", "length to 1.0", "chunked to 1.0", "until close to 1.0"],
)
def test_a_paced_body_is_complete_and_takes_its_time(script: Script, request_: bytes, read: Any) -> None:
    with proxied(script, bandwidth=[Bandwidth(rate=200_000, burst=20_000)]) as proxy, Client(proxy) as client:
        start = time.monotonic()
        client.send(request_)
        if read:
            body = read(client.answer()[2])
        else:
            body = client.rest().partition(b"\r\n\r\n")[2]
        assert time.monotonic() - start > 0.39  # 80,000 bytes after the burst
        assert body == BODY


def test_a_burst_goes_at_once() -> None:
    """The rest would take a day."""
    with proxied(sized, bandwidth=[Bandwidth(rate=1, burst=20_000)]) as proxy:
        assert ask(proxy, get(19_000))[0] == 200
        assert ask(proxy, get(19_000))[0] == 200  # each answer has its own


def test_a_small_burst_does_not_lower_the_rate() -> None:
    """A bucket that holds less than comes in between two looks would never give the rate."""
    with proxied(sized, bandwidth=[Bandwidth(rate=10_000_000, burst=1)]) as proxy:
        assert ask(proxy, get(SIZE))[2] == BODY  # byte by byte it would take minutes


def test_heads_are_not_paced() -> None:
    head = b"HEAD /90000000 HTTP/1.1\r\nHost: a\r\n\r\n"

    def script(connection: Connection) -> None:
        while seen := connection.head():
            size = int(seen.split()[1][1:])
            connection.send(OK % size + (b"" if seen.startswith(b"HEAD") else BODY[:size]))

    with proxied(script, bandwidth=[SLOW]) as proxy, Client(proxy) as client:
        for _ in range(3):
            client.send(head)
            status, seen, _ = client.answer(head_only=True)
            assert status == 200
            assert b"Content-Length: 90000000" in seen
        client.send(get(7))
        assert client.answer()[2] == BODY[:7]


def test_interim_answers_precede_a_paced_answer() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    fast = Bandwidth(rate=SIZE * 5, burst=1)
    with proxied(answers(hints + OK % SIZE + BODY), bandwidth=[fast]) as proxy, Client(proxy) as client:
        for _ in range(2):
            client.send(GET)
            assert client.answer()[0] == 103
            assert client.answer()[::2] == (200, BODY)


def test_the_first_rule_that_matches_a_path_applies() -> None:
    rules = [Bandwidth(rate=1e9, path="/fast"), SLOW]
    with proxied(sized, bandwidth=rules) as proxy, Client(proxy) as client:
        assert ask(proxy, get(f"x/../fast/{SIZE}"))[2] == BODY
        client.send(get(SIZE))
        until(lambda: held(proxy))
    with proxied(sized, bandwidth=[Bandwidth(rate=1, path="/slow")]) as proxy:
        assert ask(proxy, get(SIZE))[2] == BODY  # no rule is about it


@pytest.mark.parametrize("pipelined", [False, True])
def test_several_paced_answers_on_one_connection(pipelined: bool) -> None:
    fast = Bandwidth(rate=SIZE * 5, burst=1)
    with proxied(sized, bandwidth=[fast]) as proxy, Client(proxy) as client:
        sizes = [30_000, 60_000, 1, 30_000]
        if pipelined:
            client.send(b"".join(get(size) for size in sizes))
        for size in sizes:
            if not pipelined:
                client.send(get(size))
            assert client.answer()[::2] == (200, BODY[:size])
        assert proxy.scripted[0].connections == 1


# -- shared rates -----------------------------------------------------------------------


def test_all_answers_share_one_rate() -> None:
    shared = Bandwidth(rate=200_000, burst=20_000, key="global")
    with proxied(sized, bandwidth=[shared]) as proxy, Client(proxy) as one, Client(proxy) as other:
        start = time.monotonic()
        for client in (one, other):
            client.send(get(60_000))
        assert [client.answer()[2] for client in (one, other)] == [BODY[:60_000]] * 2
        assert time.monotonic() - start > 0.49


def test_answers_that_share_a_rate_take_turns() -> None:
    """Each gets a slice in turn, so a later answer does not wait for all of the earlier ones."""
    shared = Bandwidth(rate=60_000, burst=1, key="global")
    with proxied(sized, bandwidth=[shared]) as proxy, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(Client(proxy)).send(get(2_000_000))
        until(lambda: len(lengths(proxy)) == 3 and min(lengths(proxy)) > 50_000)
        before = lengths(proxy)
        until(lambda: any(gone(before, lengths(proxy), 15_000)))
        assert all(gone(before, lengths(proxy), 3_000))
        assert ask(proxy, get(5_000))[2] == BODY[:5_000]


def lengths(proxy: Proxy) -> list[int]:
    """What waits for its turn, an answer each."""
    return proxy.call(lambda: [len(pace.waiting) for pace in paces(proxy)])


def gone(before: list[int], after: list[int], size: int) -> list[bool]:
    """Of whom so much has gone."""
    return [was - now >= size for was, now in zip(before, after, strict=True)]


def test_each_client_has_a_rate_of_its_own() -> None:
    own = Bandwidth(rate=1, burst=SIZE, key="header:X-User")
    with proxied(sized, bandwidth=[own]) as proxy:
        for name in ("ann", "bob"):
            request = get(90_000).replace(b"\r\n\r\n", f"\r\nX-User: {name}\r\n\r\n".encode())
            assert ask(proxy, request)[0] == 200  # and nothing is left
        with Client(proxy) as client:
            client.send(request)
            until(lambda: held(proxy))


def test_a_client_that_leaves_does_not_delay_the_others() -> None:
    shared = Bandwidth(rate=1000, burst=1000, key="global")
    with proxied(sized, bandwidth=[shared]) as proxy, Client(proxy) as stays:

        def line() -> int:
            return proxy.call(
                lambda: sum(len(line.paces) for line in proxy.filters["bandwidth"].rates[0].lines.values())
            )

        stays.send(get(3000))
        until(lambda: line() == 1)
        with Client(proxy) as leaves:
            leaves.send(get(50_000))
            until(lambda: line() == 2)
        until(lambda: line() == 1)
        assert stays.answer()[2] == BODY[:3000]
        assert line() == 0


# -- memory -------------------------------------------------------------------------------------

BIG = 40_000_000
MUCH = 4_000_000  # more than a few reads, less than what would come in


class Giant:
    """A backend with more to say than anybody holds; counts what it got rid of."""

    def __init__(self) -> None:
        self.sent = 0
        self.ended = threading.Event()

    def __call__(self, connection: Connection) -> None:
        connection.head()
        try:
            connection.send(OK % BIG)
            for _ in range(BIG // SIZE):
                connection.send(BODY)
                self.sent += SIZE
        finally:
            self.ended.set()


@pytest.mark.parametrize("rate", [10_000, 1_000_000_000], ids=["slow rate", "slow reader"])
def test_the_buffer_of_a_paced_answer_is_bounded(rate: float) -> None:
    giant = Giant()
    with proxied(giant, bandwidth=[Bandwidth(rate=rate)]) as proxy, Client(proxy) as client:
        client.send(GET)
        until(lambda: giant.sent)
        assert stalled(lambda: giant.sent) < BIG
        assert held(proxy) < MUCH
        if rate > BIG:
            connection = Connection(client.sock)
            connection.head()
            assert all(connection.exactly(SIZE) == BODY for _ in range(BIG // SIZE))


def test_a_slow_reader_without_a_rate() -> None:
    """Backends' connections that rested for him go on, and those of his next requests rest, too."""
    many = 400 * [SIZE]
    with proxied(sized, timeouts=Timeouts(read=10)) as proxy, Client(proxy) as client:
        client.send(b"".join(map(get, many)))
        until(lambda: proxy.call(lambda: not all(c.writable for c in proxy.listener.open)))
        assert ask(proxy, get(5))[0] == 200
        assert stalled(lambda: held(proxy)) < MUCH
        assert all(client.answer()[::2] == (200, BODY) for _ in many)


# -- every way out ---------------------------------------------------------------------------------


def test_a_client_that_leaves_ends_it() -> None:
    giant = Giant()
    with proxied(giant, bandwidth=[SLOW]) as proxy:
        with Client(proxy) as client:
            client.send(GET)
            assert client.sock.recv(100)
        until(lambda: in_flight(proxy) == 0)
        assert giant.ended.wait(TIMEOUT)
        assert giant.sent < BIG


def test_a_client_that_leaves_after_the_backend_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with proxied(sized, bandwidth=[SLOW]) as proxy:
        with Client(proxy) as client:
            client.send(get(10_000))
            assert client.sock.recv(100)
            until(lambda: in_flight(proxy) == 0)
            assert held(proxy)  # it is all in the proxy
        until(lambda: not proxy.call(lambda: len(proxy.listener.open)))
        assert ask(proxy, get(5))[0] == 200
        assert proxy.scripted[0].connections == 1  # the backend's connection was whole
    assert capsys.readouterr().err == ""


def test_the_backend_is_free_when_it_is_done() -> None:
    """Another may have its place at the gate, though the client still waits for the rest."""
    one = Admission(limit={"kind": "concurrency_limit", "limit": 1}, timeout=TIMEOUT)
    with proxied(sized, bandwidth=[SLOW], admission=one) as proxy, Client(proxy) as client:
        client.send(get(10_000))
        assert client.sock.recv(100)
        assert ask(proxy, get(5))[0] == 200
        assert held(proxy)


def test_a_paced_answer_of_a_backend_that_dies_is_cut_off() -> None:
    with proxied(once(OK % (2 * SIZE) + BODY), bandwidth=[Bandwidth(rate=1e6)]) as proxy:
        with pytest.raises(ConnectionError):
            ask(proxy)
        assert in_flight(proxy) == 0


def test_a_paced_answer_with_a_bad_chunk_is_cut_off() -> None:
    good, _, _ = chunked(BODY).rpartition(b"0\r\n\r\n")
    begun = threading.Event()

    def script(connection: Connection) -> None:
        connection.head()
        connection.send(good)
        assert begun.wait(TIMEOUT)
        connection.send(b"x")

    with proxied(script, bandwidth=[Bandwidth(rate=1e6)]) as proxy:
        with Client(proxy) as client:
            client.send(GET)
            assert client.sock.recv(100)
            begun.set()
            with pytest.raises(ConnectionError):
                client.rest()
        until(lambda: in_flight(proxy) == 0)
    small, _, _ = chunked(b"abc").rpartition(b"0\r\n\r\n")
    with proxied(answers(small + b"x"), bandwidth=[Bandwidth(rate=1e6)]) as proxy:
        assert ask(proxy)[0] == 502  # nothing of it had been sent
        assert in_flight(proxy) == 0


def test_a_paced_answer_does_not_time_out() -> None:
    """Two seconds of a rate, of which each half is longer than the timeout."""
    with proxied(sized, bandwidth=[Bandwidth(rate=20_000, burst=1)], timeouts=Timeouts(read=0.8)) as proxy:
        assert ask(proxy, get(40_000))[2] == BODY[:40_000]


def test_a_client_that_takes_nothing_is_cut_off() -> None:
    giant = Giant()
    fast = Bandwidth(rate=1e9)
    with proxied(giant, bandwidth=[fast], timeouts=Timeouts(read=0.5)) as proxy, Client(proxy) as client:
        client.send(GET)
        assert giant.ended.wait(TIMEOUT)
        until(lambda: in_flight(proxy) == 0)


@pytest.mark.parametrize(("grace", "rate"), [(TIMEOUT, 10_000), (0, 100)])
def test_a_stop(grace: float, rate: float) -> None:
    """It waits for what is still in the proxy, as long as it may, and no longer."""
    with proxied(sized, bandwidth=[Bandwidth(rate=rate, burst=1)]) as proxy, Client(proxy) as client:
        client.send(get(10_000))
        assert client.sock.recv(1) == b"H"
        until(lambda: in_flight(proxy) == 0)
        began = time.monotonic()
        proxy.stop(grace)
        assert time.monotonic() - began < TIMEOUT / 2
        with suppress(ConnectionResetError):
            assert client.rest().endswith(BODY[9_000:10_000]) == bool(grace)


def test_a_tunnel_is_not_slowed_down() -> None:
    upgrade = b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"

    def script(connection: Connection) -> None:
        connection.head()
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\n" + upgrade + BODY)
        connection.head()

    with proxied(script, bandwidth=[Bandwidth(rate=1)]) as proxy, Client(proxy) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + upgrade)
        assert client.answer()[0] == 101
        connection = Connection(client.sock)
        connection.buffer = client.buffer
        assert connection.exactly(SIZE) == BODY


# -- the file -----------------------------------------------------------------------------------------


def test_the_file() -> None:
    text = {
        "backends": [{"address": "127.0.0.1:1"}],
        "bandwidth": [{"rate": 1e6, "path": "/videos", "key": "client"}, {"rate": 1e7, "burst": 10}],
    }
    config = ProxyConfig.from_dict(text)
    assert ProxyConfig.from_dict(config.to_dict()) == config
    assert "bandwidth" in Proxy(config=config).filters


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "bandwidth[1].rate is missing"),
        ({"rate": 0}, "bandwidth[1].rate is 0"),
        ({"rate": "1 MB"}, "bandwidth[1].rate is '1 MB': use a number"),
        ({"rate": 9, "burst": 0}, "bandwidth[1].burst is 0"),
        ({"rate": 9, "key": "colour"}, "bandwidth[1].key is 'colour'"),
        ({"rate": 9, "path": "videos"}, "bandwidth[1].path is 'videos'"),
        ({"rate": 9, "speed": 1}, "bandwidth[1]: unknown speed"),
    ],
)
def test_mistakes_are_named(wrong: dict[str, Any], message: str) -> None:
    rules = [{"rate": 1000}, wrong]
    with pytest.raises(ConfigError, match=re.escape(message)):
        ProxyConfig.from_dict({"backends": [{"address": "127.0.0.1:1"}], "bandwidth": rules})

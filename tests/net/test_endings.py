"""Endings that mutations of the proxy survived, and those that a hostile reader found."""

import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from scripted import GET, TIMEOUT, Client, Connection, Scripted, answers, ask, echo, pool_of, proxied

from lbkit.edge import Admission, RateLimit
from lbkit.net import Proxy, Timeouts
from lbkit.net.filters.bandwidth import Bandwidth
from lbkit.net.filters.base import Filter
from lbkit.net.http1.body import Chunked
from lbkit.net.messages import Reject

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
ASK_TUNNEL = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def dies_with_the_request(connection: Connection) -> None:
    connection.body(connection.head())
    connection.reset()


@pytest.mark.parametrize(("size", "status"), [(3, 200), (200_000, 502)])
def test_a_put_is_sent_again_if_all_of_it_is_still_there(size: int, status: int) -> None:
    body = b"x" * size
    request = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (size, body)
    with proxied(dies_with_the_request, echo) as proxy:
        answer = ask(proxy, request)
    assert answer[0] == status
    if status == 200:
        assert answer[2].endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize(
    "begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"], ids=["before", "within"]
)
def test_the_total_timeout_ends_a_silent_exchange(begun: bytes) -> None:
    over = threading.Event()

    def script(connection: Connection) -> None:
        connection.head()
        connection.send(begun)
        over.wait(TIMEOUT)

    with proxied(script, timeouts=Timeouts(read=TIMEOUT / 2, total=0.3)) as proxy:
        start = time.monotonic()
        if begun:
            with pytest.raises(ConnectionError):
                ask(proxy)
        else:
            assert ask(proxy)[0] == 504
        assert time.monotonic() - start < TIMEOUT / 4
        over.set()


def test_hide_removes_the_backends_field_only() -> None:
    """Answers pass the filters in reverse: what this proxy says is added behind what it hides."""
    said = b"HTTP/1.1 200 OK\r\nX-Lbkit-Attempts: 99\r\nContent-Length: 2\r\n\r\nok"
    with proxied(answers(said), hide=("X-Lbkit-Attempts",), expose=True) as proxy:
        head = ask(proxy)[1]
    assert re.findall(rb"X-Lbkit-Attempts: (\d+)", head) == [b"1"]


def test_a_silent_tunnel_times_out_and_an_active_one_does_not() -> None:
    def script(connection: Connection) -> None:
        connection.head()
        connection.send(SWITCH)
        while data := connection.sock.recv(1000):
            connection.send(data.upper())

    with proxied(script, timeouts=Timeouts(tunnel=1.0)) as proxy, Client(proxy) as client:
        client.send(ASK_TUNNEL)
        assert client.answer()[0] == 101
        connection = Connection(client.sock)
        for _ in range(8):  # 1.6 s
            time.sleep(0.2)
            client.send(b"more")
            assert connection.exactly(4) == b"MORE"
        assert client.closed()


@pytest.mark.parametrize("first", ["client", "backend"])
def test_a_tunnel_may_be_half_closed(first: str) -> None:
    """After a half-close the other direction goes on."""
    heard, ended = [], threading.Event()

    def script(connection: Connection) -> None:
        connection.head()
        connection.send(SWITCH)
        if first == "backend":
            connection.sock.shutdown(socket.SHUT_WR)
        while data := connection.sock.recv(1000):
            heard.append(data)
        ended.set()
        if first == "client":
            connection.send(b"the rest")

    with proxied(script) as proxy, Client(proxy) as client:
        client.send(ASK_TUNNEL)
        assert client.answer()[0] == 101
        if first == "backend":
            assert client.rest() == b""
            client.send(b"the rest")
        client.sock.shutdown(socket.SHUT_WR)
        if first == "client":
            assert client.rest() == b"the rest"
        else:
            assert ended.wait(TIMEOUT)
            assert b"".join(heard) == b"the rest"


def test_a_tunnel_applies_back_pressure() -> None:
    sent, stuck = [], threading.Event()

    def script(connection: Connection) -> None:
        connection.head()
        connection.send(SWITCH)
        connection.sock.settimeout(0.5)
        try:
            for _ in range(1000):
                connection.send(b"x" * 65_536)
                sent.append(65_536)
        except TimeoutError:
            stuck.set()

    with proxied(script) as proxy, Client(proxy) as client:
        client.send(ASK_TUNNEL)
        assert stuck.wait(TIMEOUT)
        assert sum(sent) < 32 << 20


def test_a_slow_client_does_not_occupy_the_backend() -> None:
    """Its backend has done its work: the rest is between the proxy and the client."""
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20_000
    slow = Bandwidth(rate=1_000, burst=1_000, path="/slow")
    one = Admission(limit={"kind": "concurrency_limit", "limit": 1}, max_queue=0)
    with proxied(answers(large), admission=one, bandwidth=(slow,)) as proxy, Client(proxy) as client:
        client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.sock.recv(1)
        while proxy.pool["b1"].in_flight:
            time.sleep(0.01)
        assert ask(proxy)[0] == 200


@pytest.mark.parametrize("begun", [b"x", b"1" * 16, b"1 ", b";"])
def test_a_chunk_without_a_size_is_refused_before_its_line_ends(begun: bytes) -> None:
    with pytest.raises(Reject):
        Chunked().feed(begun)


# -- a test_access_log.py of its own


# -- what a hostile reader found -------------------------------------------------------------------------


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.002)


LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000


def test_two_filters_that_wrap_the_body_pass_all_of_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    pace = Bandwidth(rate=400_000, burst=20_000)
    with proxied(answers(LARGE), access_log=str(log), bandwidth=[pace]) as proxy:
        assert len(ask(proxy)[2]) == 100_000
        until(log.read_text)
        assert " 200 100000 " in log.read_text()
        assert proxy.scripted[0].connections == 1


def test_the_access_log_counts_the_bytes_sent(tmp_path: Path) -> None:
    log = tmp_path / "log"
    slow = Bandwidth(rate=5_000, burst=5_000)
    with proxied(answers(LARGE), access_log=str(log), bandwidth=[slow]) as proxy:
        with Client(proxy) as client:
            client.send(GET)
            assert client.sock.recv(100)
        until(log.read_text)
    size = int(log.read_text().split('" ')[1].split()[1])
    assert 0 < size < 50_000


def test_own_answers_are_not_buffered_for_a_client_that_does_not_read() -> None:
    one = RateLimit({"kind": "token_bucket", "rate": 0.001, "burst": 1})
    with proxied(echo, rate_limits=[one], timeouts=Timeouts(read=0.5)) as proxy, Client(proxy) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with suppress(OSError):  # it is cut off
            for _ in range(400):
                client.send(GET * 1000)
        waiting = proxy.call(lambda: sum(c.transport.get_write_buffer_size() for c in proxy.listener.open))
        assert waiting < 1 << 20
        until(lambda: not proxy.call(lambda: len(proxy.listener.open)))


def test_a_pipeline_continues_when_its_client_reads_again() -> None:
    one = RateLimit({"kind": "token_bucket", "rate": 0.001, "burst": 1})
    number = 20_000
    with proxied(echo, rate_limits=[one]) as proxy, Client(proxy) as client:
        sender = threading.Thread(target=client.send, args=(GET * number,), daemon=True)
        sender.start()
        until(lambda: not proxy.call(lambda: all(c.writable for c in proxy.listener.open)))
        statuses = [client.answer()[0] for _ in range(number)]
        sender.join(TIMEOUT)
    assert statuses == [200] + [429] * (number - 1)


def test_an_upgrade_before_the_end_of_the_body_is_ignored() -> None:
    with proxied(answers(SWITCH)) as proxy:
        request = ASK_TUNNEL.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc")
        assert ask(proxy, request)[0] == 502


def test_a_tunnel_that_has_ended_does_not_outlast_its_timeout() -> None:
    """The backend has sent what the client does not read, and both have ended."""

    def script(connection: Connection) -> None:
        connection.head()
        connection.send(SWITCH)
        with suppress(OSError):
            connection.sock.settimeout(0.5)
            while True:
                connection.send(b"x" * 65_536)

    with proxied(script, timeouts=Timeouts(read=0.5, tunnel=5)) as proxy, Client(proxy) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(ASK_TUNNEL)
        assert client.sock.recv(20)
        client.sock.shutdown(socket.SHUT_WR)
        until(lambda: not proxy.call(lambda: len(proxy.listener.open)))


def test_a_backend_that_does_not_take_the_body_is_what_times_out() -> None:
    over = threading.Event()

    def script(connection: Connection) -> None:
        connection.head()
        over.wait(TIMEOUT)

    with proxied(script, timeouts=Timeouts(read=0.5)) as proxy, Client(proxy) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
        client.sock.settimeout(0.2)
        with suppress(TimeoutError):
            while True:
                client.send(b"x" * 65_536)
        client.sock.settimeout(TIMEOUT)
        assert client.answer()[0] == 504
        over.set()


def test_a_body_that_comes_while_its_request_is_held_does_not_end_the_hold() -> None:
    slow = Admission(rate=1, timeout=TIMEOUT)
    with proxied(echo, admission=slow, timeouts=Timeouts(read=0.7)) as proxy, Client(proxy) as client:
        assert ask(proxy)[0] == 200
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        until(lambda: proxy.call(proxy.filters["admission"].state)["waiting"])  # type: ignore[attr-defined]
        client.send(b"abc")
        assert client.answer()[0] == 200


def test_an_answer_that_waits_for_bandwidth_does_not_time_out() -> None:
    shared = Bandwidth(rate=20_000, burst=1, key="global")
    small = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
    with proxied(answers(small), timeouts=Timeouts(read=0.7), bandwidth=[shared]) as proxy:
        clients = [Client(proxy) for _ in range(12)]
        for client in clients:
            client.send(GET)
        assert [len(client.answer()[2]) for client in clients] == [2000] * 12
        for client in clients:
            client.sock.close()


@pytest.mark.parametrize("hook", ["on_request", "on_response"])
def test_a_filter_that_returns_a_wrong_type_is_reported(hook: str, capfd: pytest.CaptureFixture[str]) -> None:
    class Odd(Filter):
        name = "odd"

    setattr(Odd, hook, lambda self, exchange, other: "no")
    with Scripted(answers(OK)) as backend:
        pool = pool_of(backend.port)
        proxy = Proxy(pool)
        setattr(proxy.service, hook, (getattr(Odd(), hook),))
        with proxy:
            assert [ask(proxy)[0] for _ in range(2)] == [500, 500]
        assert pool["b1"].in_flight == 0
    said = capfd.readouterr().err
    assert said.count("odd failed") == 1
    assert f"TypeError: {hook} returned 'no'" in said


def test_a_slow_reader_of_an_early_answer_gets_all_of_it() -> None:
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000

    def script(connection: Connection) -> None:
        connection.head()
        connection.send(big)
        connection.head()

    with proxied(script) as proxy, Client(proxy) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        got, start = 0, time.monotonic()
        while piece := client.sock.recv(65_536):
            got += len(piece)
            if time.monotonic() - start < 3:
                time.sleep(0.06)
        assert got > 3_000_000

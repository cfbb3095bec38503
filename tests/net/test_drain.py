"""Draining in the proxy: what clients are told, and what is cut off when time is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from scripted import GET, TIMEOUT, Client, Connection, Script, Scripted, answers, ask, echo, field

from lbkit.core import Intent
from lbkit.core.drain import DrainRules, DrainState
from lbkit.net import BackendConfig, Proxy, ProxyConfig
from lbkit.net.websocket import GOING_AWAY
from lbkit.policy import Policy

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
ASK_TUNNEL = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
TIME = 0.3  # seconds that a drain may take


@contextmanager
def draining(*scripts: Script, timeout: float = TIME) -> Iterator[Proxy]:
    """A proxy before b1, b2, ..., which is asked in this order."""
    there = [Scripted(script) for script in scripts]
    backends = tuple(BackendConfig(f"127.0.0.1:{b.port}", f"b{i}") for i, b in enumerate(there, 1))
    policy = Policy("round_robin", drain=DrainRules(timeout=timeout))
    try:
        with Proxy(config=ProxyConfig(backends, listen="127.0.0.1:0", policy=policy)) as proxy:
            yield proxy
        assert all(b.in_flight == 0 for b in proxy.pool.backends)
    finally:
        for backend in there:
            backend.close()


def tell(proxy: Proxy, intent: Intent, name: str = "b1") -> None:
    proxy.call(proxy.set_intent, name, intent)


def state(proxy: Proxy, name: str = "b1") -> DrainState:
    return proxy.call(proxy.pool.pools[0].drains.state, name)


def settles(proxy: Proxy, wanted: DrainState) -> None:
    start = time.monotonic()
    while state(proxy) is not wanted:
        assert time.monotonic() - start < TIMEOUT
        time.sleep(0.01)


class Held:
    """A script that answers when it is let go."""

    def __init__(self, begun: bytes = b"") -> None:
        self.begun = begun
        self.asked, self.go, self.gone = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, connection: Connection) -> None:
        head = connection.head()
        connection.body(head)
        connection.send(self.begun)
        self.asked.set()
        while not self.go.is_set() and not self.gone.is_set():
            connection.sock.settimeout(0.02)
            try:
                if not connection.sock.recv(1):
                    self.gone.set()
            except TimeoutError:
                continue
            except OSError:
                self.gone.set()
        if self.go.is_set():
            connection.send(OK)
            connection.sock.settimeout(TIMEOUT)
            if not connection.head():
                self.gone.set()


def test_requests_in_flight_finish_and_their_answers_announce_the_close() -> None:
    held = Held()
    with draining(held, echo, timeout=TIMEOUT) as proxy, Client(proxy) as client:
        client.send(GET)
        assert held.asked.wait(TIMEOUT)
        tell(proxy, Intent.DRAIN)
        assert state(proxy) is DrainState.DRAINING
        status, head, _ = ask(proxy)
        assert status == 200
        assert field(head, "Connection") == []  # b2 stays
        held.go.set()
        status, head, _ = client.answer()
        assert (status, field(head, "Connection")) == (200, ["close"])
        assert client.closed()
        settles(proxy, DrainState.DRAINED)
        assert held.gone.wait(TIMEOUT)  # nor is the connection to it kept


def test_idle_connections_to_a_backend_that_drains_are_closed() -> None:
    closed = threading.Event()

    def script(connection: Connection) -> None:
        while connection.head():
            connection.send(OK)
        closed.set()

    with draining(script, echo) as proxy:
        assert ask(proxy)[0] == 200
        assert not closed.is_set()
        tell(proxy, Intent.DRAIN)
        assert closed.wait(TIMEOUT)
        assert state(proxy) is DrainState.DRAINED


@pytest.mark.parametrize(("request_", "status"), [(GET, 200), (POST, 502)], ids=["GET", "POST"])
def test_at_the_deadline_a_request_is_cut_off_and_goes_elsewhere_if_that_is_safe(
    request_: bytes, status: int
) -> None:
    held = Held()
    with draining(held, answers(OK)) as proxy, Client(proxy) as client:
        client.send(request_)
        assert held.asked.wait(TIMEOUT)
        tell(proxy, Intent.DRAIN)
        assert client.answer()[0] == status
        assert held.gone.wait(TIMEOUT)
        assert state(proxy) is DrainState.DRAINED


def test_half_an_answer_does_not_look_whole_after_the_deadline() -> None:
    held = Held(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    with draining(held) as proxy, Client(proxy) as client:
        client.send(GET)
        assert held.asked.wait(TIMEOUT)
        tell(proxy, Intent.DRAIN)
        with pytest.raises(ConnectionResetError):
            client.rest()
        assert held.gone.wait(TIMEOUT)


def test_a_drain_that_would_never_end_because_a_client_keeps_its_websocket() -> None:
    held = Held(SWITCH)
    with draining(held, echo) as proxy, Client(proxy) as client:
        client.send(ASK_TUNNEL)
        assert client.answer()[0] == 101
        assert proxy.pool["b1"].in_flight == 1
        start = time.monotonic()
        tell(proxy, Intent.DRAIN)
        settles(proxy, DrainState.DRAINED)
        assert TIME / 2 < time.monotonic() - start < TIMEOUT / 2
        assert client.rest() == GOING_AWAY
        assert held.gone.wait(TIMEOUT)
        assert proxy.pool["b1"].in_flight == 0


@pytest.mark.parametrize(
    ("sent", "whole"),
    [(b"\x81\x02hi", True), (b"\x81\x02h", False), (b"\x81", False), (b"\x01\x02hi", True)],
    ids=["a message", "half a payload", "half a head", "a fragment"],
)
@pytest.mark.parametrize("with_head", [True, False], ids=["with the head", "later"])
def test_a_websocket_is_told_between_frames_and_never_within_one(
    sent: bytes, whole: bool, with_head: bool
) -> None:
    def script(connection: Connection) -> None:
        connection.head()
        connection.send(SWITCH + (sent if with_head else b""))
        if not with_head:
            connection.sock.recv(1)
            connection.send(sent)
        connection.sock.settimeout(TIMEOUT)
        with suppress(OSError):
            connection.sock.recv(1)

    with draining(script, echo) as proxy, Client(proxy) as client:
        client.send(ASK_TUNNEL)
        assert client.answer(head_only=True)[0] == 101
        if not with_head:
            client.send(b"x")
        while len(client.buffer) < len(sent):
            client.buffer += client.sock.recv(100)
        tell(proxy, Intent.DRAIN)
        try:
            assert client.rest() == sent + (GOING_AWAY if whole else b"")
        except ConnectionResetError:
            assert not whole
        settles(proxy, DrainState.DRAINED)


def test_without_rules_such_a_drain_does_not_end_before_the_client_goes() -> None:
    held = Held(SWITCH)
    with draining(held, echo, timeout=float("inf")) as proxy:
        with Client(proxy) as client:
            client.send(ASK_TUNNEL)
            assert client.answer()[0] == 101
            tell(proxy, Intent.DRAIN)
            time.sleep(2 * TIME)
            assert state(proxy) is DrainState.DRAINING
        settles(proxy, DrainState.DRAINED)


def test_a_backend_that_is_undrained_is_as_before() -> None:
    with draining(echo, echo) as proxy, Client(proxy) as client:
        tell(proxy, Intent.DRAIN)
        tell(proxy, Intent.READY)
        assert state(proxy) is DrainState.READY
        for _ in range(4):
            client.send(GET)
            status, head, _ = client.answer()
            assert (status, field(head, "Connection")) == (200, [])
        assert [b.picks for b in proxy.pool.backends] == [2, 2]


def test_answers_pay_for_no_hook_once_nothing_drains() -> None:
    with draining(echo, echo) as proxy:
        tell(proxy, Intent.DRAIN)
        assert proxy.service.on_response
        deadline = time.monotonic() + TIMEOUT
        while proxy.service.on_response and time.monotonic() < deadline:
            time.sleep(0.01)
        assert proxy.service.on_response == ()


def test_an_unknown_name_lists_the_known_ones() -> None:
    with draining(echo) as proxy, pytest.raises(KeyError, match="no backend 'x' in the pool: there are b1"):
        tell(proxy, Intent.DRAIN, "x")

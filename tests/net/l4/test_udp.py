"""The UDP proxy on real sockets: answers find their client, sessions end, backends that are gone are left."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from datagrams import client, server
from own_balancers import Raising
from scripted import TIMEOUT

from lbkit import Backend, Pool, make_balancer
from lbkit.net import ProxyError
from lbkit.net.l4.udp import UdpConfig, UdpProxy


def pool(*ports: int, algorithm: str = "round_robin") -> Pool:
    backends = [Backend(f"s{i}", host="127.0.0.1", port=port) for i, port in enumerate(ports)]
    return Pool(backends, make_balancer(algorithm))


@contextmanager
def relayed(count: int, algorithm: str = "round_robin", **options: object) -> Iterator[UdpProxy]:
    with ExitStack() as stack:
        ports = [stack.enter_context(server(str(i))) for i in range(count)]
        yield stack.enter_context(UdpProxy(pool(*ports, algorithm=algorithm), **options))  # type: ignore[arg-type]


def ask(proxy: UdpProxy, sock: socket.socket, data: bytes = b"?") -> bytes:
    sock.sendto(data, ("127.0.0.1", proxy.port))
    return sock.recv(65536)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_each_client_gets_its_own_answers_from_one_backend() -> None:
    with relayed(3) as proxy, ExitStack() as stack:
        socks = [stack.enter_context(client()) for _ in range(9)]
        first = [ask(proxy, sock, b"%d" % i) for i, sock in enumerate(socks)]
        assert [answer[1:] for answer in first] == [b"%d" % i for i in range(9)]
        assert Counter(answer[:1] for answer in first) == {b"0": 3, b"1": 3, b"2": 3}
        for sock, answer in zip(socks, first, strict=True):
            assert ask(proxy, sock)[:1] == answer[:1]
        assert proxy.accepted == 9


def test_with_the_client_as_the_key_all_its_sockets_lead_to_one_backend() -> None:
    def reached(key: str) -> int:
        with relayed(4, algorithm="rendezvous", key=key) as proxy, ExitStack() as stack:
            return len({ask(proxy, stack.enter_context(client())) for _ in range(40)})

    assert reached("client") == 1
    assert reached("flow") == 4


def test_datagrams_of_a_burst_arrive_in_order() -> None:
    with relayed(1) as proxy, client() as sock:
        for i in range(10):
            sock.sendto(b"%d" % i, ("127.0.0.1", proxy.port))
        assert [sock.recv(100) for _ in range(10)] == [b"0%d" % i for i in range(10)]


def test_a_large_datagram_passes() -> None:
    with relayed(1) as proxy, client() as sock:
        assert ask(proxy, sock, bytes(60_000)) == b"0" + bytes(60_000)


def test_a_session_ends_when_nothing_moves() -> None:
    with relayed(2, idle=0.1) as proxy, client() as sock:
        assert ask(proxy, sock) == b"0?"
        until(lambda: not proxy.call(lambda: len(proxy.sessions)))
        assert [b.in_flight for b in proxy.pool.backends] == [0, 0]
        assert ask(proxy, sock) == b"1?"


def test_with_one_answer_expected_each_query_goes_to_another_backend() -> None:
    with relayed(2, answers=1) as proxy, client() as sock:
        assert [ask(proxy, sock) for _ in range(4)] == [b"0?", b"1?", b"0?", b"1?"]
        until(lambda: not proxy.call(lambda: len(proxy.sessions)))


def test_a_backend_that_is_gone_is_left_at_the_next_datagram() -> None:
    with client() as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    with server("1") as there, UdpProxy(pool(port, there)) as proxy, client() as sock:
        sock.sendto(b"?", ("127.0.0.1", proxy.port))
        until(lambda: proxy.accepted and not proxy.call(lambda: len(proxy.sessions)))
        assert ask(proxy, sock) == b"1?"


def test_sessions_are_bounded_and_those_that_exist_go_on() -> None:
    with relayed(1, sessions=1) as proxy, client() as first, client() as second:
        assert ask(proxy, first) == b"0?"
        second.sendto(b"!", ("127.0.0.1", proxy.port))
        assert ask(proxy, first) == b"0?"
        assert proxy.accepted == 1
        assert proxy.faults.lines() == ["full: there are as many sessions as may be open"]


def test_a_stop_waits_only_for_answers_under_way() -> None:
    with relayed(1) as proxy, client() as sock:
        assert ask(proxy, sock) == b"0?"
        began = time.monotonic()
        proxy.stop(grace=TIMEOUT)
        assert time.monotonic() - began < TIMEOUT / 2
    with server("mute", mute=True) as mute, UdpProxy(pool(mute)) as proxy, client() as sock:
        sock.sendto(b"?", ("127.0.0.1", proxy.port))
        until(lambda: proxy.accepted)
        proxy.stop(grace=0.1)
        assert proxy.pool.backends[0].in_flight == 0


def test_an_algorithm_that_raises_loses_the_datagram_only() -> None:
    with relayed(1) as proxy, client() as sock:
        proxy.pool.switch(raising := Raising())
        sock.sendto(b"!", ("127.0.0.1", proxy.port))
        until(lambda: proxy.faults.lines())
        raising.broken = False
        assert ask(proxy, sock) == b"0?"


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="key is 'path': use flow or client"):
        UdpConfig(key="path")
    with pytest.raises(TypeError, match="idel"):
        UdpProxy(pool(1), idel=3)
    with client() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ProxyError, match="the port is taken"):
            UdpProxy(pool(1), listen=f"127.0.0.1:{taken.getsockname()[1]}").start()


def test_it_works_on_asyncios_own_loop_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.net.loop.new_event_loop", asyncio.new_event_loop)
    with relayed(2, answers=1) as proxy, client() as sock:
        assert [ask(proxy, sock) for _ in range(4)] == [b"0?", b"1?", b"0?", b"1?"]

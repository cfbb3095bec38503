"""The TCP proxy on real sockets: both directions, every ending, headers, names; Redis and HAProxy."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from fronts import haproxy, nginx
from hellos import hello
from needs import need, need_module
from own_balancers import Raising
from scripted import TIMEOUT, Connection, Scripted, nobody_listens

from lbkit import Backend, Pool, make_balancer
from lbkit.core import Intent
from lbkit.core.drain import DrainRules
from lbkit.net import ProxyError
from lbkit.net.l4.proxy_protocol import Header, Transport, read, write_v1, write_v2
from lbkit.net.l4.sni import UNRECOGNIZED_NAME
from lbkit.net.l4.tcp import TcpProxy
from lbkit.net.l4.tcp_config import TcpConfig


def echo(connection: Connection) -> None:
    """Send back what comes, and end when the other side does."""
    while data := connection.sock.recv(65536):
        connection.send(data)


def says(name: bytes) -> Callable[[Connection], None]:
    """Speaks first, as a mail server does; then echoes."""

    def script(connection: Connection) -> None:
        connection.send(name)
        echo(connection)

    return script


def shows(connection: Connection) -> None:
    """Send back all bytes once the client has ended."""
    data = b""
    while more := connection.sock.recv(65536):
        data += more
    connection.send(data)


def pool(*ports: int, algorithm: str = "round_robin", **options: object) -> Pool:
    backends = [Backend(f"s{i}", host="127.0.0.1", port=port) for i, port in enumerate(ports)]
    return Pool(backends, make_balancer(algorithm), **options)  # type: ignore[arg-type]


@contextmanager
def relayed(*scripts: Callable[[Connection], None], **options: object) -> Iterator[TcpProxy]:
    with ExitStack() as stack:
        ports = [stack.enter_context(Scripted(script)).port for script in scripts]
        yield stack.enter_context(TcpProxy(pool(*ports), **options))  # type: ignore[arg-type]


def connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection((proxy.host, proxy.port), TIMEOUT)


def everything(sock: socket.socket) -> bytes:
    """Whatever comes until the end, or until a reset."""
    data = b""
    with suppress(ConnectionResetError):
        while more := sock.recv(65536):
            data += more
    return data


def asked(proxy: TcpProxy, data: bytes) -> bytes:
    """The answer to these bytes and an end; b"" if they are refused."""
    with connect(proxy) as sock:
        with suppress(OSError):  # it may be closed already
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        return everything(sock)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def in_flight(proxy: TcpProxy) -> int:
    return proxy.call(lambda: sum(b.in_flight for p in proxy.pools for b in p.backends))


# -- relaying -------------------------------------------------------------------------------


def test_a_client_that_has_ended_still_gets_its_answer() -> None:
    with relayed(shows) as proxy:
        data = bytes(range(256)) * 10_000
        assert asked(proxy, data) == data
        until(lambda: not in_flight(proxy) and not proxy.call(lambda: len(proxy.open)))


def test_a_backend_may_speak_first() -> None:
    with relayed(says(b"220 ready\r\n")) as proxy, connect(proxy) as sock:
        assert sock.recv(100) == b"220 ready\r\n"


def test_a_backend_that_ends_first_still_gets_what_the_client_says() -> None:
    got = threading.Event()

    def half(connection: Connection) -> None:
        connection.send(b"bye")
        connection.sock.shutdown(socket.SHUT_WR)
        assert connection.exactly(4) == b"more"
        got.set()

    with relayed(half) as proxy, connect(proxy) as sock:
        assert everything(sock) == b"bye"
        sock.sendall(b"more")
        assert got.wait(TIMEOUT)


def test_a_side_that_does_not_read_stops_the_other() -> None:
    go = threading.Event()

    def flood(connection: Connection) -> None:
        connection.sock.settimeout(None)
        sent = 0
        connection.sock.setblocking(False)
        stuck = 0
        while stuck < 50:
            try:
                sent += connection.sock.send(bytes(65536))
                stuck = 0
            except BlockingIOError:
                stuck += 1
                time.sleep(0.01)
        amounts.append(sent)
        go.set()

    amounts: list[int] = []
    with relayed(flood) as proxy, connect(proxy) as sock:
        assert go.wait(TIMEOUT)
        buffered = proxy.call(
            lambda: sum(s.here.get_write_buffer_size() for r in proxy.open for s in r.sides)
        )
        assert 0 < buffered < 1_000_000
        assert len(everything(sock)) == amounts[0]


def test_a_reset_ends_the_other_side() -> None:
    with relayed(echo) as proxy:
        sock = connect(proxy)
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        Connection(sock).reset()
        until(lambda: not in_flight(proxy))


def test_connections_take_turns_and_requests_on_one_do_not() -> None:
    with relayed(says(b"0"), says(b"1"), says(b"2")) as proxy, ExitStack() as stack:
        socks = [stack.enter_context(connect(proxy)) for _ in range(6)]
        assert Counter(sock.recv(1) for sock in socks) == {b"0": 2, b"1": 2, b"2": 2}
        assert in_flight(proxy) == 6
        for _ in range(5):
            socks[0].sendall(b"again")
            assert socks[0].recv(5) == b"again"
        assert proxy.accepted == 6


def test_with_the_client_as_the_key_all_its_connections_lead_to_one_backend() -> None:
    def seen(key: str) -> int:
        with ExitStack() as stack:
            ports = [stack.enter_context(Scripted(says(str(i).encode()))).port for i in range(4)]
            hashed = pool(*ports, algorithm="rendezvous")
            proxy = stack.enter_context(TcpProxy(hashed, key=key))
            return len({stack.enter_context(connect(proxy)).recv(1) for _ in range(40)})

    assert seen("client") == 1
    assert seen("flow") == 4


# -- what goes wrong ------------------------------------------------------------------------


def test_another_backend_is_tried_if_one_refuses() -> None:
    with nobody_listens() as port, Scripted(echo) as backend, TcpProxy(pool(port, backend.port)) as proxy:
        assert [asked(proxy, b"hello") for _ in range(4)] == [b"hello"] * 4


def test_with_no_backend_left_the_connection_is_reset(capfd: pytest.CaptureFixture[str]) -> None:
    with nobody_listens() as one, nobody_listens() as two, TcpProxy(pool(one, two)) as proxy:
        for _ in range(2):
            with connect(proxy) as sock:
                assert everything(sock) == b""
        until(lambda: not in_flight(proxy))
        assert proxy.faults.lines() == ["no backend could be connected to (2 times)"]
    assert capfd.readouterr().err.count("no backend could be connected to") == 1


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port whose queue is full, so that connecting to it does not come to an end."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_another_backend_is_tried_if_one_does_not_accept_in_time() -> None:
    with (
        deaf_port() as deaf,
        Scripted(echo) as backend,
        TcpProxy(pool(deaf, backend.port), connect=0.2) as proxy,
    ):
        assert [asked(proxy, b"hello") for _ in range(2)] == [b"hello"] * 2
        until(lambda: not in_flight(proxy))


def test_a_stop_does_not_wait_for_a_backend_that_does_not_accept() -> None:
    with deaf_port() as deaf, TcpProxy(pool(deaf), connect=TIMEOUT) as proxy, connect(proxy) as sock:
        until(lambda: in_flight(proxy))
        proxy.stop(grace=0.0)
        assert everything(sock) == b""
        assert in_flight(proxy) == 0


def test_nothing_is_left_of_many_connections_however_they_end() -> None:
    def sudden(connection: Connection) -> None:
        if connection.sock.recv(1) == b"r":
            connection.reset()

    with relayed(sudden, echo) as proxy:

        def one(i: int) -> None:
            sock = connect(proxy)
            with suppress(OSError):
                sock.sendall([b"r", b"e", b"x" * 100_000][i % 3])
                if i % 2:
                    sock.recv(1)
            if i % 5:
                sock.close()
            else:
                Connection(sock).reset()

        before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
        for i in range(300):
            one(i)
        until(lambda: not in_flight(proxy) and not proxy.call(lambda: len(proxy.open)))
        if before:
            until(lambda: len(os.listdir("/proc/self/fd")) <= before)
        assert asked(proxy, b"e") in (b"", b"e")


def test_connections_beyond_the_limit_are_closed_and_others_served() -> None:
    with relayed(echo, connections=2) as proxy, ExitStack() as stack:
        for _ in range(2):
            sock = stack.enter_context(connect(proxy))
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
        with connect(proxy) as third:
            assert everything(third) == b""
        sock.sendall(b"y")
        assert sock.recv(1) == b"y"


def test_an_idle_connection_is_cut() -> None:
    with relayed(echo, idle=0.1) as proxy:
        began = time.monotonic()  # the proxy may have the connection before this thread goes on
        with connect(proxy) as sock:
            assert everything(sock) == b""
        assert time.monotonic() - began >= 0.1


def test_a_stop_waits_for_connections_and_then_cuts_them() -> None:
    with relayed(echo) as proxy, connect(proxy) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        stopping = threading.Thread(target=proxy.stop, args=(TIMEOUT,))
        stopping.start()
        sock.sendall(b"y")
        assert sock.recv(1) == b"y"
        sock.close()
        stopping.join(TIMEOUT)
        assert not stopping.is_alive()
        with proxy, connect(proxy) as sock:  # it can be started again
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
            proxy.stop(grace=0.0)
            assert everything(sock) == b""


def test_a_drain_cuts_connections_after_its_timeout() -> None:
    with Scripted(echo) as a, Scripted(echo) as b:
        draining = pool(a.port, b.port, drain=DrainRules(timeout=0.2))
        with TcpProxy(draining, first=0.1) as proxy, connect(proxy) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
            proxy.call(proxy.set_intent, "s0", Intent.DRAIN)
            assert everything(sock) == b""
            with pytest.raises(KeyError):
                proxy.call(proxy.set_intent, "nobody", Intent.DRAIN)


def test_an_algorithm_that_raises_closes_the_connection_only() -> None:
    with relayed(echo) as proxy:
        proxy.pool.switch(raising := Raising())
        with connect(proxy) as sock:
            assert everything(sock) == b""
        raising.broken = False
        assert asked(proxy, b"x") == b"x"


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="accept_proxy: 'nonsense'"):
        TcpConfig(accept_proxy="nonsense")
    with pytest.raises(ValueError, match="send_proxy is 'v3': use v1 or v2"):
        TcpConfig(send_proxy="v3")
    with pytest.raises(ValueError, match="key is 'path': use flow or client"):
        TcpConfig(key="path")
    with pytest.raises(TypeError, match="idel"):
        TcpProxy(pool(1), idel=3)
    with pytest.raises(ValueError, match="give a pool"):
        TcpProxy()
    for name in ("*", "a.*", "", "a..b"):
        with pytest.raises(ValueError, match="routes has"):
            TcpProxy(routes={name: pool(1)})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ProxyError, match="the port is taken"):
            TcpProxy(pool(1), listen=f"127.0.0.1:{port}").start()


# -- the PROXY protocol ---------------------------------------------------------------------

LOCAL = "127.0.0.1/32"
CLIENT = Header(Transport.TCP4, ("203.0.113.7", 4711), ("198.51.100.1", 443))


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_backend_gets_the_client_in_a_header(version: str) -> None:
    with relayed(shows, send_proxy=version) as proxy, connect(proxy) as sock:
        sock.sendall(b"data")
        sock.shutdown(socket.SHUT_WR)
        data = everything(sock)
        header = read(data)
        assert isinstance(header, Header)
        assert header.source == sock.getsockname()
        assert header.destination == (proxy.host, proxy.port)
        assert data[header.size :] == b"data"


@pytest.mark.parametrize("header", [write_v1(CLIENT), write_v2(CLIENT), write_v2(CLIENT, checksum=True)])
@pytest.mark.parametrize("piece", [1, 1000])
def test_a_trusted_peers_header_is_passed_on_in_the_other_version(header: bytes, piece: int) -> None:
    with relayed(shows, accept_proxy=LOCAL, send_proxy="v1") as proxy, connect(proxy) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = header + b"data"
        for at in range(0, len(data), piece):
            sock.sendall(data[at : at + piece])
        sock.shutdown(socket.SHUT_WR)
        assert everything(sock) == write_v1(CLIENT) + b"data"


def test_an_untrusted_peers_header_is_data() -> None:
    with relayed(shows, accept_proxy="192.0.2.0/24", send_proxy="v1") as proxy, connect(proxy) as sock:
        sock.sendall(write_v2(CLIENT))
        sock.shutdown(socket.SHUT_WR)
        data = everything(sock)
        assert read(data).source == sock.getsockname()
        assert data.endswith(write_v2(CLIENT))


def test_a_trusted_peer_that_speaks_for_itself_is_the_client() -> None:
    with relayed(shows, accept_proxy=LOCAL, send_proxy="v1") as proxy, connect(proxy) as sock:
        sock.sendall(write_v2(Header(Transport.UNKNOWN, local=True)))
        sock.shutdown(socket.SHUT_WR)
        assert read(everything(sock)).source == sock.getsockname()


def test_a_trusted_peer_without_a_header_is_refused() -> None:
    with relayed(shows, accept_proxy=LOCAL, first=0.2) as proxy:
        assert asked(proxy, b"GET / HTTP/1.1\r\n") == b""
        assert asked(proxy, b"PROXY TCP4 1.2") == b""
        with connect(proxy) as silent:
            assert everything(silent) == b""  # after `first` seconds
        with connect(proxy) as silent:
            silent.shutdown(socket.SHUT_WR)
            assert everything(silent) == b""
        assert len(proxy.faults.lines()) == 3


def test_the_key_is_the_client_that_the_header_names() -> None:
    with ExitStack() as stack:
        ports = [stack.enter_context(Scripted(says(str(i).encode()))).port for i in range(4)]
        hashed = pool(*ports, algorithm="rendezvous")
        proxy = stack.enter_context(TcpProxy(hashed, key="client", accept_proxy=LOCAL))

        def reached(client: str) -> bytes:
            with connect(proxy) as sock:
                sock.sendall(write_v1(Header(Transport.TCP4, (client, 1), ("198.51.100.1", 443))))
                return sock.recv(1)

        picked = {f"203.0.113.{i}": reached(f"203.0.113.{i}") for i in range(30)}
        assert set(picked.values()) == {b"0", b"1", b"2", b"3"}
        assert all(reached(client) == where for client, where in picked.items())


# -- server names ---------------------------------------------------------------------------


def test_pools_are_found_by_server_name() -> None:
    with ExitStack() as stack:
        ports = {n: stack.enter_context(Scripted(says(n.encode()))).port for n in ("exact", "wild", "rest")}
        routes = {"www.example.org": pool(ports["exact"]), "*.Example.org": pool(ports["wild"])}
        proxy = stack.enter_context(TcpProxy(pool(ports["rest"]), routes=routes))

        def reached(data: bytes) -> bytes:
            answer = asked(proxy, data)
            name = answer.removesuffix(data)
            assert answer == name + data  # nothing of the hello is lost
            return name

        assert reached(hello("www.example.org")) == b"exact"
        assert reached(hello("api.example.org")) == b"wild"
        assert reached(hello("a.b.example.org")) == b"wild"
        assert reached(hello("example.org")) == b"rest"
        assert reached(hello(None)) == b"rest"
        assert reached(b"GET / HTTP/1.1\r\n\r\n") == b"rest"


def test_a_name_without_a_pool_gets_an_alert() -> None:
    with Scripted(echo) as backend, TcpProxy(routes={"a.example": pool(backend.port)}) as proxy:
        assert asked(proxy, hello("b.example")) == UNRECOGNIZED_NAME
        context = ssl.create_default_context()
        with connect(proxy) as sock, pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            context.wrap_socket(sock, server_hostname="b.example")
        assert asked(proxy, b"GET / HTTP/1.1\r\n") == b""


def test_a_header_may_come_before_the_hello() -> None:
    with Scripted(shows) as backend:
        routes = {"a.example": pool(backend.port)}
        with TcpProxy(routes=routes, accept_proxy=LOCAL, send_proxy="v2") as proxy:
            data = write_v1(CLIENT) + hello("a.example")
            assert asked(proxy, data) == write_v2(CLIENT) + data[len(write_v1(CLIENT)) :]


# -- with real programs ---------------------------------------------------------------------


@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c"])
def test_headers_of_haproxy_are_understood(tmp_path: Path, how: str) -> None:
    with (
        relayed(shows, accept_proxy=LOCAL, send_proxy="v1") as proxy,
        haproxy(tmp_path, "", f"127.0.0.1:{proxy.port} {how}") as port,
    ):
        assert_known(port)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_understands_our_headers(tmp_path: Path, version: str) -> None:
    with (
        Scripted(shows) as backend,
        # HAProxy passes on, in version 1, which client it has read.
        haproxy(tmp_path, "accept-proxy", f"127.0.0.1:{backend.port} send-proxy") as port,
        TcpProxy(pool(port), send_proxy=version) as proxy,
    ):
        assert_known(proxy.port)


def assert_known(port: int) -> None:
    """The backend behind this port gets the ends of the connection to it, in version 1."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
        sock.sendall(b"data")
        sock.shutdown(socket.SHUT_WR)
        ends = sock.getsockname(), sock.getpeername()
        assert everything(sock) == write_v1(Header(Transport.TCP4, *ends)) + b"data"


@pytest.mark.parametrize(
    "data",
    [
        write_v1(CLIENT),
        write_v1(Header(Transport.TCP6, ("2001:db8::7", 1), ("2001:db8::1", 2))),
        write_v2(CLIENT),
        write_v2(CLIENT, checksum=True),
        write_v2(Header(Transport.TCP4, *(CLIENT.source, CLIENT.destination), tlvs=((2, b"name"),)), True),
        write_v2(CLIENT, checksum=True)[:-1] + b"\0",
        write_v2(CLIENT).replace(b"\x21\x11", b"\x31\x11"),
        write_v2(CLIENT).replace(b"\x21\x11", b"\x22\x11"),
        write_v2(CLIENT)[:14] + b"\0\x0e" + write_v2(CLIENT)[16:] + b"\x01\0",
        b"PROXY UNKNOWN\r\n",
        # Not "PROXY UNKNOWN whatever": the protocol's text allows it, and HAProxy 2.6 refuses it.
        b"PROXY TCP4 nonsense 198.51.100.1 1 2\r\n",
        b"PROXY TCP5 203.0.113.7 198.51.100.1 1 2\r\n",
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
    ],
)
def test_haproxy_accepts_and_refuses_the_same_headers(tmp_path: Path, data: bytes) -> None:

    def shows_whole(connection: Connection) -> None:
        connection.send(connection.until(b"data"))

    def answer(port: int) -> bytes:
        # Without an end: HAProxy may give a client up that ends before its backend is connected.
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
            sock.sendall(data + b"data")
            return everything(sock)

    with Scripted(shows_whole) as backend:
        with haproxy(tmp_path, "accept-proxy", f"127.0.0.1:{backend.port} send-proxy") as port:
            theirs = answer(port)
        with TcpProxy(pool(backend.port), accept_proxy=LOCAL, send_proxy="v1") as proxy:
            ours = answer(proxy.port)
    known = read(data)
    if isinstance(known, Header) and known.source:
        assert ours == theirs
    else:  # without addresses each names its own peer
        assert bool(ours) == bool(theirs)


SHOWS_HEADER = (
    'server { listen 127.0.0.1:{port} proxy_protocol; location / { return 200 "$proxy_protocol_addr '
    '$proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port"; } }'
)
HEADERS = [
    CLIENT,
    Header(Transport.TCP6, ("2001:db8::7", 1), ("2001:db8::1", 65535)),
]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_nginx_understands_our_headers(tmp_path: Path, version: str, header: Header) -> None:
    with (
        nginx(tmp_path, SHOWS_HEADER) as port,
        TcpProxy(pool(port), accept_proxy=LOCAL, send_proxy=version) as proxy,
        connect(proxy) as sock,
    ):
        sock.sendall(write_v2(header) + b"GET / HTTP/1.0\r\n\r\n")
        body = everything(sock).partition(b"\r\n\r\n")[2].decode()
    (client, port), (server, to) = header.source, header.destination
    assert body == f"{client} {port} {server} {to}"


def test_redis_is_served_over_long_connections() -> None:
    need("redis-server")
    need_module("redis")
    from redis import Redis

    from lbkit.live.redis_server import RedisServer

    with RedisServer() as server, TcpProxy(pool(server.port), idle=TIMEOUT) as proxy:
        with Redis(host=proxy.host, port=proxy.port, socket_timeout=TIMEOUT) as client:
            pipe = client.pipeline(transaction=False)
            for i in range(1000):
                pipe.set(f"key{i}", i)
            assert all(pipe.execute())
            assert client.mget([f"key{i}" for i in range(1000)]) == [str(i).encode() for i in range(1000)]
            big = bytes(range(256)) * 20_000
            client.set("big", big)
            assert client.get("big") == big
            listener = client.pubsub()
            listener.subscribe("news")
            assert listener.get_message(timeout=TIMEOUT)["type"] == "subscribe"
            client.publish("news", "hello")
            assert listener.get_message(timeout=TIMEOUT)["data"] == b"hello"
            listener.close()
            assert 2 <= proxy.accepted <= 3
        until(lambda: not in_flight(proxy))


def test_it_works_on_asyncios_own_loop_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.net.loop.new_event_loop", asyncio.new_event_loop)
    with relayed(says(b"hello "), accept_proxy=LOCAL) as proxy:
        assert asked(proxy, write_v1(CLIENT) + b"you") == b"hello you"
    with relayed(shows) as proxy:
        assert asked(proxy, b"data") == b"data"

"""WebSockets to HTTP/2 backends (RFC 8441), from clients of HTTP/1.1 and of HTTP/2."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from needs import need, need_feature
from scripted import TIMEOUT, Client, Connection, Script, Scripted, ask, field

need_feature("http2")

from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset, WindowUpdated
from h2_backend import Request, Session, h2_answers
from http2_client import Http2Client, get, until

from lbkit.core.health import HealthRules, MaxFailsRules
from lbkit.experiment import Policy
from lbkit.net import BackendConfig, Proxy, ProxyConfig
from lbkit.net.http2.rules import Http2
from lbkit.net.settings import Timeouts
from lbkit.net.websocket import accept_of

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # the example of RFC 6455, 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
PLAIN = b"GET /chat?a=1 HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
UPGRADE = PLAIN + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % KEY
CONNECT = [*get(b"/chat", method=b"CONNECT"), (b":protocol", b"websocket"), (b"sec-websocket-version", b"13")]


@contextmanager
def to(*scripts: Script, kinds: str = "", **options: Any) -> Iterator[Proxy]:
    """A proxy before scripted backends: of HTTP/2, or where `kinds` has a "1" of HTTP/1.1."""
    with ExitStack() as stack:
        backends = [stack.enter_context(Scripted(script)) for script in scripts]
        configs = [
            BackendConfig(f"127.0.0.1:{one.port}", protocol="http/1.1" if kinds[i : i + 1] == "1" else "h2")
            for i, one in enumerate(backends)
        ]
        config = ProxyConfig(backends=configs, listen="127.0.0.1:0", http2=Http2(), **options)
        with Proxy(config=config) as proxy:
            yield proxy
            until(lambda: not any(b.in_flight for b in proxy.pool.backends))


def takes_tunnels(
    on_open: Callable[[Session, int], None] = lambda session, stream: None,
    on_data: Callable[[Session, int, bytes, bool], None] | None = None,
    seen: list[Request] | None = None,
    status: bytes = b"200",
    **settings: int,
) -> Script:
    """A backend that opens tunnels, and echoes what comes unless `on_data` is given."""

    def echo(session: Session, stream: int, data: bytes, end: bool) -> None:
        session.h2.send_data(stream, data + (b"bye" if end else b""), end_stream=end)

    def script(connection: Connection) -> None:
        session = Session(connection, enable_connect_protocol=1, **settings)
        with suppress(ConnectionError):
            for event in session.events():
                if isinstance(event, RequestReceived):
                    if seen is not None:
                        seen.append(session.requests[event.stream_id])
                    fields = [(b":status", status), (b"sec-websocket-protocol", b"chat")]
                    session.h2.send_headers(event.stream_id, fields)
                    on_open(session, event.stream_id)
                elif isinstance(event, DataReceived) and event.data:
                    (on_data or echo)(session, event.stream_id, event.data, False)
                elif isinstance(event, StreamEnded):
                    (on_data or echo)(session, event.stream_id, b"", True)

    return script


class Browser(Client):
    """A client that reads piece by piece."""

    def head(self) -> bytes:
        return self._read(Connection.head)

    def exactly(self, size: int) -> bytes:
        return self._read(lambda connection: connection.exactly(size))

    def _read(self, part: Callable[[Connection], bytes]) -> bytes:
        connection = Connection(self.sock)
        connection.buffer = self.buffer
        found = part(connection)
        self.buffer = connection.buffer
        return found


def opened(client: Browser) -> bytes:
    client.send(UPGRADE)
    return client.head()


def tunnels(proxy: Proxy) -> int:
    return sum(type(one).__name__ == "Relay" for one in list(proxy.listener.open))


def test_an_upgrade_of_http_1_becomes_extended_connect() -> None:
    seen: list[Request] = []
    with to(takes_tunnels(seen=seen)) as proxy, Browser(proxy) as client:
        head = opened(client)
        assert head.startswith(b"HTTP/1.1 101 ")
        assert field(head, "Sec-WebSocket-Accept") == [ACCEPT]
        assert field(head, "Sec-WebSocket-Protocol") == ["chat"]
        assert field(head, "Upgrade") == ["websocket"]
        client.send(b"hello")
        assert client.exactly(5) == b"hello"
        client.sock.shutdown(socket.SHUT_WR)
        assert client.rest() == b"bye"
        request = seen[0]
        assert request[b":method"] == b"CONNECT"
        assert request[b":protocol"] == b"websocket"
        assert (request[b":path"], request[b":scheme"]) == (b"/chat?a=1", b"http")
        assert request[b":authority"] == b"a.test"
        names = {name for name, _ in request.fields}
        assert b"sec-websocket-version" in names
        assert names.isdisjoint({b"sec-websocket-key", b"connection", b"upgrade", b"content-length"})


def test_http_2_on_both_sides() -> None:
    with to(takes_tunnels()) as proxy, Http2Client(proxy) as client:
        numbers = [client.request(CONNECT, end=False) for _ in range(3)]
        for number in numbers:
            client.until(lambda n=number: client.got[n].status)  # type: ignore[misc]
            assert client.got[number].status == 200
            client.send(number, b"%d" % number)
        for number in numbers:
            client.send(number, b"x" * 30_000, end=True)
            assert client.answer(number).body == b"%d" % number + b"x" * 30_000 + b"bye"
        until(lambda: not tunnels(proxy))


def test_what_is_sent_before_the_answer_is_kept() -> None:
    with to(takes_tunnels()) as proxy, Browser(proxy) as client:
        client.send(UPGRADE + b"early")
        client.head()
        assert client.exactly(5) == b"early"


def test_a_backend_may_end_its_direction_first() -> None:
    got = bytearray()

    def on_open(session: Session, stream: int) -> None:
        session.h2.send_data(stream, b"hello", end_stream=True)

    def on_data(session: Session, stream: int, data: bytes, end: bool) -> None:
        got.extend(data + (b"." if end else b""))

    size = 400_000
    with to(takes_tunnels(on_open, on_data)) as proxy, Browser(proxy) as client:
        opened(client)
        assert client.rest() == b"hello"
        client.send(b"x" * size)  # more than the windows
        client.sock.shutdown(socket.SHUT_WR)
        until(lambda: len(got) == size + 1)
        until(lambda: not tunnels(proxy))


def test_both_may_end_at_once() -> None:
    def on_open(session: Session, stream: int) -> None:
        session.h2.send_data(stream, b"", end_stream=True)

    with to(takes_tunnels(on_open, lambda *_: None)) as proxy, Browser(proxy) as client:
        assert opened(client).startswith(b"HTTP/1.1 101 ")
        client.sock.shutdown(socket.SHUT_WR)
        assert client.rest() == b""
        until(lambda: not tunnels(proxy))


@pytest.mark.parametrize("http2", [False, True])
def test_a_client_that_does_not_read_holds_back_the_backend(http2: bool) -> None:
    size, sent = 6_000_000, 0

    def script(connection: Connection) -> None:
        nonlocal sent
        session = Session(connection, enable_connect_protocol=1)
        stream = 0
        for event in session.events():
            if isinstance(event, RequestReceived):
                stream = event.stream_id
                session.h2.send_headers(stream, [(b":status", b"200")])
            if isinstance(event, RequestReceived | WindowUpdated) and stream:
                while sent < size and (room := session.h2.local_flow_control_window(stream)) > 0:
                    piece = min(room, 16_384, size - sent)
                    session.h2.send_data(stream, b"x" * piece, end_stream=sent + piece == size)
                    sent += piece

    with to(script) as proxy, ExitStack() as stack:
        if http2:
            fast = stack.enter_context(Http2Client(proxy, reads=False))
            number = fast.request(CONNECT, end=False)
            fast.until(lambda: len(fast.got[number].body) == 65_535)
            time.sleep(0.3)
            assert sent < 500_000
            fast.reads = True
            for one in (None, number):
                fast.http.increment_flow_control_window(65_535, one)
            fast.flush()
            assert len(fast.answer(number).body) == size
        else:
            slow = stack.enter_context(Browser(proxy))
            opened(slow)
            time.sleep(0.3)
            assert sent < size
            assert len(slow.rest()) == size


def test_a_backend_that_takes_nothing_holds_back_its_client() -> None:
    go = threading.Event()

    def script(connection: Connection) -> None:
        session = Session(connection, enable_connect_protocol=1)
        session.take = False
        held = got = 0
        for event in session.events():
            if isinstance(event, RequestReceived):
                session.h2.send_headers(event.stream_id, [(b":status", b"200")])
            if isinstance(event, DataReceived):
                held, got = held + event.flow_controlled_length, got + len(event.data)
                if got >= 65_535:
                    assert go.wait(TIMEOUT)
                    if held:
                        session.h2.acknowledge_received_data(held, event.stream_id)
                    held = 0
            if isinstance(event, StreamEnded):
                session.h2.send_data(event.stream_id, b"%d" % got, end_stream=True)

    size = 8_000_000
    with to(script) as proxy, Browser(proxy) as client:
        opened(client)
        sender = threading.Thread(target=lambda: (client.send(b"x" * size), client.sock.shutdown(1)))  # type: ignore[func-returns-value]
        sender.start()
        sender.join(0.5)
        assert sender.is_alive()
        go.set()
        assert client.rest() == b"%d" % size
        sender.join()


def test_a_backend_without_the_setting_is_502_and_the_log_says_why(capfd: pytest.CaptureFixture[str]) -> None:
    with to(h2_answers()) as proxy, Browser(proxy) as client:
        client.send(UPGRADE)
        assert client.head().startswith(b"HTTP/1.1 502 ")
        line = "no WebSocket over HTTP/2, as its settings lack ENABLE_CONNECT_PROTOCOL (RFC 8441)"
        assert line in "".join(proxy.faults.lines())
        with Http2Client(proxy) as other:
            assert other.answer(other.request(CONNECT, end=False)).status == 502
        assert ask(proxy)[0] == 200
    assert line in capfd.readouterr().err


def test_websockets_cannot_get_a_backend_out_of_service() -> None:
    policy = Policy(health=HealthRules(max_fails=MaxFailsRules(max_fails=1, fail_timeout=60.0)))
    with to(h2_answers(), policy=policy) as proxy:
        for _ in range(3):
            with Browser(proxy) as client:
                client.send(UPGRADE)
                assert client.head().startswith(b"HTTP/1.1 502 ")
        assert ask(proxy)[0] == 200


def test_another_backend_takes_what_one_cannot() -> None:
    def old(connection: Connection) -> None:
        assert b"Upgrade: websocket" in connection.head()
        accept = b"Sec-WebSocket-Accept: %b\r\n" % accept_of(KEY)
        connection.send(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n%b\r\nhi" % accept)

    for kinds, scripts in (("2", [h2_answers(), takes_tunnels()]), ("21", [h2_answers(), old])):
        with to(*scripts, kinds=kinds) as proxy:
            for _ in range(2):
                with Browser(proxy) as client:
                    assert opened(client).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("key", [b"", b"Sec-WebSocket-Key: short\r\n"])
def test_a_client_without_a_key_is_refused_as_no_backend_could_notice(key: bytes) -> None:
    seen: list[Request] = []
    with to(takes_tunnels(seen=seen)) as proxy, Browser(proxy) as client:
        client.send(PLAIN + key + b"\r\n")
        assert client.head().startswith(b"HTTP/1.1 400 ")
    assert not seen


def test_a_refusal_is_passed_on_and_the_connection_goes_on() -> None:
    def script(connection: Connection) -> None:
        session = Session(connection, enable_connect_protocol=1)
        for event in session.events():
            if isinstance(event, RequestReceived):
                session.answer(event.stream_id, b"no", 403, [(b"content-length", b"2")])

    with to(script) as proxy, Browser(proxy) as client:
        for _ in range(2):
            client.send(UPGRADE)
            head = client.head()
            assert head.startswith(b"HTTP/1.1 403 ")
            assert client.exactly(2) == b"no"
        with Http2Client(proxy) as other:
            answer = other.answer(other.request(CONNECT, end=False))
            assert (answer.status, answer.body) == (403, b"no")
        assert sum(map(len, proxy.connections.sessions.open.values())) == 1


def test_a_backend_that_resets_a_tunnel_ends_it_at_the_client() -> None:
    def on_data(session: Session, stream: int, data: bytes, end: bool) -> None:
        session.h2.reset_stream(stream, ErrorCodes.CANCEL)

    with to(takes_tunnels(on_data=on_data)) as proxy, Browser(proxy) as client:
        opened(client)
        client.send(b"x")
        with suppress(ConnectionResetError):
            assert client.rest() == b""
        until(lambda: not tunnels(proxy))


def test_a_client_that_is_lost_resets_the_stream_at_the_backend() -> None:
    ended: list[object] = []

    def script(connection: Connection) -> None:
        session = Session(connection, enable_connect_protocol=1)
        with suppress(ConnectionError):
            for event in session.events():
                if isinstance(event, RequestReceived):
                    session.h2.send_headers(event.stream_id, [(b":status", b"200")])
                if isinstance(event, StreamEnded):
                    session.h2.end_stream(event.stream_id)
                if isinstance(event, StreamReset | StreamEnded):
                    ended.append(event)

    with to(script) as proxy:
        with Http2Client(proxy) as client:
            number = client.request(CONNECT, end=False)
            client.until(lambda: client.got[number].status)
            client.reset(number)
            until(lambda: ended)
        ended.clear()
        with Browser(proxy) as plain:
            opened(plain)
        until(lambda: ended)


def test_an_idle_tunnel_is_closed_and_its_backend_told() -> None:
    with to(takes_tunnels(), timeouts=Timeouts(tunnel=0.3)) as proxy, Browser(proxy) as client:
        opened(client)
        with suppress(ConnectionResetError):
            assert client.rest() == b""
        until(lambda: not any(c.streams for cs in proxy.connections.sessions.open.values() for c in cs))


def accepts(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


HAPROXY = """
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 10s
    timeout tunnel 10s
listen front
    bind 127.0.0.1:%d proto h2
    server one 127.0.0.1:%d
"""


def test_a_real_haproxy_takes_the_tunnel(tmp_path: Path) -> None:
    haproxy = need("haproxy")

    def old(connection: Connection) -> None:
        key = field(connection.head(), "Sec-WebSocket-Key")[0].encode()
        accept = b"Sec-WebSocket-Accept: %b\r\n" % accept_of(key)
        connection.send(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n%b\r\n" % accept)
        while data := connection.buffer or connection.sock.recv(65_536):
            connection.buffer = b""
            connection.send(data)

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Scripted(old) as last:
        (tmp_path / "haproxy.cfg").write_text(HAPROXY % (port, last.port))
        process = subprocess.Popen(
            [haproxy, "-db", "-f", tmp_path / "haproxy.cfg"], stderr=subprocess.DEVNULL
        )
        try:
            until(lambda: accepts(port))
            config = ProxyConfig([BackendConfig(f"127.0.0.1:{port}", protocol="h2")], listen="127.0.0.1:0")
            with Proxy(config=config) as proxy, Browser(proxy) as client:
                head = opened(client)
                assert field(head, "Sec-WebSocket-Accept") == [ACCEPT]
                client.send(b"x" * 200_000)
                assert client.exactly(200_000) == b"x" * 200_000
        finally:
            process.terminate()
            process.wait()

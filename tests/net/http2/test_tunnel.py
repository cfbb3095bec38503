"""WebSockets over HTTP/2 (RFC 8441): a stream as long as the tunnel, to a backend of HTTP/1.1."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
import time

from needs import need_feature

need_feature("http2")

from h2.errors import ErrorCodes
from http2_client import OK, Http2Client, get, serving, until
from scripted import TIMEOUT, Connection, answers

from lbkit.net.settings import Timeouts

CONNECT = [*get(b"/chat", method=b"CONNECT"), (b":protocol", b"websocket"), (b"sec-websocket-version", b"13")]


def handshake(connection: Connection, wrong: bool = False, early: bytes = b"") -> bytes:
    """Switch; return the request's head."""
    head = connection.head()
    key = re.search(rb"(?i)\r\nsec-websocket-key: (\S+)", head)
    assert key
    digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    accept = b"d3Jvbmc=" if wrong else base64.b64encode(digest)
    connection.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: %b\r\nSec-WebSocket-Protocol: chat\r\n\r\n%b" % (accept, early)
    )
    return head


def echo(connection: Connection) -> None:
    handshake(connection)
    while data := connection.buffer or connection.sock.recv(65_536):
        connection.buffer = b""
        connection.send(data)
    connection.send(b"bye")


def opened(client: Http2Client) -> int:
    number = client.request(CONNECT, end=False)
    client.until(lambda: client.got[number].status)
    return number


def test_bytes_pass_both_ways_and_each_side_ends_for_itself() -> None:
    with serving(echo) as proxy, Http2Client(proxy) as client:
        number = opened(client)
        answer = client.got[number]
        assert answer.status == 200
        assert answer.fields[b"sec-websocket-protocol"] == b"chat"
        assert b"sec-websocket-accept" not in answer.fields
        client.send(number, b"hello")
        client.until(lambda: answer.body == b"hello")
        client.send(number, b"x" * 30_000, end=True)
        assert client.answer(number).body == b"hello" + b"x" * 30_000 + b"bye"
        assert answer.ended


def test_other_requests_go_on_beside_a_tunnel() -> None:
    def script(connection: Connection) -> None:
        if b"/chat" in (head := connection.head()):
            connection.buffer = head + connection.buffer
            echo(connection)
        else:
            connection.send(OK)

    with serving(script) as proxy, Http2Client(proxy) as client:
        number = opened(client)
        assert client.ask(get()).body == b"ok"
        client.send(number, b"hello", end=True)
        assert client.answer(number).body == b"hellobye"


def test_the_backend_sees_an_upgrade_of_http_1() -> None:
    seen: list[bytes] = []
    with (
        serving(lambda connection: seen.append(handshake(connection))) as proxy,
        Http2Client(proxy) as client,
    ):
        client.answer(opened(client))
    assert seen[0].startswith(b"GET /chat HTTP/1.1\r\n")
    assert b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" in seen[0]
    assert b"\r\nsec-websocket-version: 13\r\n" in seen[0]
    assert b"protocol:" not in seen[0]


def test_what_comes_with_the_switch_or_before_it_is_kept() -> None:
    go = threading.Event()

    def script(connection: Connection) -> None:
        assert go.wait(TIMEOUT)
        handshake(connection, early=b"first ")
        connection.send(connection.exactly(5))

    with serving(script) as proxy, Http2Client(proxy) as client:
        number = client.request(CONNECT, end=False)
        client.send(number, b"early")
        go.set()
        assert client.answer(number).body == b"first early"


def test_a_refusal_is_passed_on() -> None:
    no = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    with serving(answers(no)) as proxy, Http2Client(proxy) as client:
        answer = client.answer(client.request(CONNECT, end=False))
        assert (answer.status, answer.body) == (403, b"no")


def test_an_answer_that_is_no_switch_does_not_look_like_a_tunnel() -> None:
    with serving(answers(OK)) as proxy, Http2Client(proxy) as client:
        answer = client.answer(client.request(CONNECT, end=False))
        assert (answer.status, answer.ended) == (502, True)


def test_a_switch_with_a_wrong_key_is_an_error() -> None:
    def script(connection: Connection) -> None:
        handshake(connection, wrong=True)
        connection.sock.recv(1)

    with serving(script) as proxy, Http2Client(proxy) as client:
        assert client.answer(client.request(CONNECT, end=False)).status == 502


def test_a_reset_ends_the_tunnel_at_the_backend() -> None:
    gone = threading.Event()

    def script(connection: Connection) -> None:
        handshake(connection)
        if not connection.sock.recv(10):
            gone.set()

    with serving(script) as proxy, Http2Client(proxy) as client:
        client.reset(opened(client))
        assert gone.wait(TIMEOUT)
        until(lambda: not any(type(one).__name__ == "Relay" for one in list(proxy.listener.open)))


def test_a_backend_that_breaks_off_resets_the_stream() -> None:
    go = threading.Event()

    def script(connection: Connection) -> None:
        handshake(connection)
        assert go.wait(TIMEOUT)
        connection.reset()

    with serving(script) as proxy, Http2Client(proxy) as client:
        number = opened(client)
        go.set()
        client.until(lambda: client.got[number].over)
        assert client.got[number].reset in (None, ErrorCodes.CANCEL, ErrorCodes.NO_ERROR)


def test_a_client_that_does_not_read_holds_back_the_backend() -> None:
    size = 8_000_000
    sent = 0

    def script(connection: Connection) -> None:
        nonlocal sent
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        handshake(connection)
        for _ in range(size // 50_000):
            connection.send(b"x" * 50_000)
            sent += 50_000

    with serving(script) as proxy, Http2Client(proxy, reads=False) as client:
        number = opened(client)
        client.until(lambda: len(client.got[number].body) == 65_535)
        time.sleep(0.5)
        assert sent < size
        client.reads = True
        for stream in (None, number):
            client.http.increment_flow_control_window(65_535, stream)
        client.flush()
        assert len(client.answer(number).body) == size


def test_a_tunnel_that_is_idle_too_long_is_closed() -> None:
    with serving(echo, timeouts=Timeouts(tunnel=0.3)) as proxy, Http2Client(proxy) as client:
        number = opened(client)
        client.until(lambda: client.got[number].over)

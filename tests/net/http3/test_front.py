"""Requests and answers by HTTP/3, through a proxy on real sockets before scripted HTTP/1.1 backends."""

from __future__ import annotations

import threading
from base64 import b64encode
from hashlib import sha1

import pytest
from needs import need_feature

need_feature("http3", "cert")

from aioquic.h3.connection import ErrorCode
from http3_client import OK, Http3Client, get, serving, wait_for
from scripted import TIMEOUT, Connection, answers, echo, field, unchunked

from lbkit.net.settings import Limits


def test_a_request_and_its_answer() -> None:
    with serving(echo) as proxy, Http3Client(proxy) as client:
        answer = client.ask(get(b"/a?b=c", (b"x-own", b"1")))
    assert answer.status == 200
    assert answer.ended
    assert answer.body.startswith(b"GET /a?b=c HTTP/1.1\r\nhost: a.test\r\nx-own: 1\r\n")
    assert field(answer.body, "Via") == ["3.0 lbkit"]
    assert field(answer.body, "X-Forwarded-For") == ["127.0.0.1"]
    assert field(answer.body, "X-Forwarded-Proto") == ["https"]
    assert answer.fields[b"date"]
    assert b"alt-svc" not in answer.fields


def test_requests_of_one_connection_are_balanced_on_their_own() -> None:
    named = [answers(OK.replace(b"ok", name)) for name in (b"b1", b"b2", b"b3")]
    with serving(*named) as proxy, Http3Client(proxy) as client:
        streams = [client.request(get()) for _ in range(9)]
        bodies = [bytes(client.answer(number).body) for number in streams]
    assert sorted(bodies) == [b"b1"] * 3 + [b"b2"] * 3 + [b"b3"] * 3


def test_a_slow_answer_does_not_hold_the_others() -> None:
    release = threading.Event()

    def script(connection: Connection) -> None:
        while head := connection.head():
            if b"/slow" in head:
                assert release.wait(TIMEOUT)
            connection.send(OK)

    with serving(script) as proxy, Http3Client(proxy) as client:
        slow = client.request(get(b"/slow"))
        assert client.ask(get()).body == b"ok"
        assert not client.got[slow].over
        release.set()
        assert client.answer(slow).body == b"ok"


def test_large_bodies_pass_both_ways() -> None:
    body = bytes(range(256)) * 1_600  # more than a stream's windows
    with serving(echo) as proxy, Http3Client(proxy) as client:
        answer = client.ask(get(b"/", (b"content-length", b"%d" % len(body)), method=b"POST"), body)
    assert answer.ended
    head, _, rest = bytes(answer.body).partition(b"\r\n\r\n")
    assert field(head + b"\r\n", "content-length") == [str(len(body))]
    assert rest == body


def test_a_body_without_a_length_arrives_in_chunks() -> None:
    with serving(echo) as proxy, Http3Client(proxy) as client:
        number = client.request(get(method=b"POST"), b"x" * 5_000, end=False)
        client.send(number, b"y" * 5_000, end=True)
        head, _, rest = bytes(client.answer(number).body).partition(b"\r\n\r\n")
    assert field(head + b"\r\n", "Transfer-Encoding") == ["chunked"]
    assert unchunked(rest) == b"x" * 5_000 + b"y" * 5_000


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_without_a_body(status: bytes) -> None:
    with serving(answers(b"HTTP/1.1 %b\r\n\r\n" % status)) as proxy, Http3Client(proxy) as client:
        answer = client.ask(get())
    assert (answer.status, answer.body, answer.ended) == (int(status[:3]), b"", True)


def test_an_answer_to_head_has_no_body() -> None:
    # No length: aioquic's client would wait for as many bytes.
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(answers(data)) as proxy, Http3Client(proxy) as client:
        answer = client.ask(get(method=b"HEAD"))
    assert (answer.status, answer.body, answer.ended) == (200, b"", True)


def test_interim_answers_and_trailers_are_passed_on() -> None:
    """gRPC has its status in trailers."""
    data = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x\r\nX: 1\r\n\r\n"
        b"2\r\nok\r\n0\r\nGrpc-Status: 0\r\n\r\n"
    )
    with serving(answers(data)) as proxy, Http3Client(proxy) as client:
        answer = client.ask(get(b"/", (b"te", b"trailers")))
    assert (answer.interim, answer.status, answer.body) == ([103], 200, b"ok")
    assert set(answer.fields) == {b":status", b"date"}
    assert answer.trailers == {b"grpc-status": b"0"}


def test_trailers_of_a_request_reach_the_backend() -> None:
    seen: list[bytes] = []

    def script(connection: Connection) -> None:
        connection.head()
        seen.append(connection.until(b"0\r\n") + connection.until(b"\r\n\r\n"))
        connection.send(OK)

    with serving(script) as proxy, Http3Client(proxy) as client:
        number = client.request(get(method=b"POST"), b"abc", end=False)
        assert client.http
        client.http.send_headers(number, [(b"x-sum", b"1"), (b"content-length", b"9")], end_stream=True)
        client.flush()
        assert client.answer(number).body == b"ok"
    assert seen == [b"3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"]


def test_an_answer_before_the_end_of_the_body_is_whole_and_stops_it() -> None:
    def script(connection: Connection) -> None:
        connection.head()
        connection.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        connection.sock.recv(1)

    with serving(script) as proxy, Http3Client(proxy) as client:
        number = client.request(get(method=b"POST"), b"x", end=False)
        answer = client.answer(number)
        assert (answer.status, answer.body, answer.ended) == (403, b"no", True)
        client.until(lambda: number in client.stopped)
        assert client.stopped[number] == ErrorCode.H3_NO_ERROR


def test_an_answer_that_breaks_off_does_not_look_whole() -> None:
    def script(connection: Connection) -> None:
        connection.head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    with serving(script) as proxy, Http3Client(proxy) as client:
        answer = client.ask(get())
        assert (answer.status, answer.ended) == (200, False)
        assert answer.reset == ErrorCode.H3_INTERNAL_ERROR


def test_a_body_that_is_too_long_is_refused() -> None:
    with serving(echo, limits=Limits(body=1000)) as proxy, Http3Client(proxy) as client:
        announced = client.ask(get(b"/", (b"content-length", b"1001"), method=b"POST"), b"x" * 1001)
        streamed = client.request(get(method=b"POST"), b"x" * 1001, end=False)
        assert announced.status == client.answer(streamed).status == 413
        assert client.ask(get()).status == 200


def test_a_client_that_leaves_cancels_all_its_requests() -> None:
    arrived = threading.Semaphore(0)

    def script(connection: Connection) -> None:
        connection.head()
        arrived.release()
        connection.sock.recv(1)

    with serving(script) as proxy:
        with Http3Client(proxy) as client:
            for _ in range(5):
                client.request(get())
            for _ in range(5):
                while not arrived.acquire(timeout=0.01):
                    client.read()
        backend = proxy.pool.pools[0].backends[0]
        wait_for(lambda: backend.in_flight == 0)
        wait_for(lambda: not proxy.listener.open)
        assert proxy.listener.requests == 0


def test_a_request_that_is_given_up_is_given_up_at_the_backend() -> None:
    gone = threading.Event()

    def script(connection: Connection) -> None:
        connection.head()
        if not connection.sock.recv(1):
            gone.set()

    with serving(script) as proxy, Http3Client(proxy) as client:
        number = client.request(get())
        backend = proxy.pool.pools[0].backends[0]
        wait_for(lambda: backend.in_flight == 1)
        client.reset(number)
        wait_for(gone.is_set)
        assert client.answer(number).reset == ErrorCode.H3_REQUEST_CANCELLED


def test_a_websocket_is_tunnelled() -> None:
    """RFC 9220: Extended CONNECT."""

    def script(connection: Connection) -> None:
        head = connection.head()
        connection.send(switched(head))
        while data := connection.sock.recv(100):
            connection.send(data.upper())

    fields = [*get(b"/chat", method=b"CONNECT"), (b":protocol", b"websocket")]
    with serving(script) as proxy, Http3Client(proxy) as client:
        number = client.request([*fields, (b"sec-websocket-version", b"13")], end=False)
        client.until(lambda: client.got[number].status)
        client.send(number, b"abc")
        client.until(lambda: client.got[number].body)
        assert client.got[number].status == 200
        assert client.got[number].body == b"ABC"
        client.send(number, b"", end=True)
        client.answer(number)


def switched(head: bytes) -> bytes:
    """A server's answer to a WebSocket's handshake (RFC 6455, 4.2.2)."""
    key = field(head, "sec-websocket-key")[0].encode()
    accept = b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    lines = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n" % accept
    return b"HTTP/1.1 101 Switching Protocols\r\n" + lines

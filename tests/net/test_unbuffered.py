"""Server-sent events and long polling: what a backend sends arrives at once, on each version of HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from needs import need_feature
from scripted import TIMEOUT, Client, Scripted, ask

need_feature("http2")

from h2.events import StreamEnded
from h2_backend import Session
from http2_client import Http2Client, get

from lbkit.net import BackendConfig, Proxy, ProxyConfig
from lbkit.net.http2.rules import Http2

EVENTS = 5
GET = b"GET %b HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n"
pytestmark = [pytest.mark.parametrize("front", ["1.1", "2"]), pytest.mark.parametrize("origin", ["1.1", "2"])]


class Backend:
    """Sends the next event when the one before has arrived; `/poll` is answered when there is news."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(1)
        self.polled = threading.Event()
        self.news = threading.Event()

    def http1(self, connection: Any) -> None:
        while head := connection.head():
            if head.startswith(b"GET /poll"):
                self.polled.set()
                assert self.news.wait(TIMEOUT)
            if not head.startswith(b"GET /events"):
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnews")
                continue
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
            connection.send(b"Transfer-Encoding: chunked\r\n\r\n")
            for i in range(EVENTS):
                assert self.arrived.acquire(timeout=TIMEOUT)
                connection.send(b"9\r\ndata: %d\n\n\r\n" % i)
            connection.send(b"0\r\n\r\n")

    def http2(self, connection: Any) -> None:
        session = Session(connection)
        lock = threading.Lock()

        def events(stream: int) -> None:
            with lock:
                fields = [(b":status", b"200"), (b"content-type", b"text/event-stream")]
                session.h2.send_headers(stream, fields)
                session.flush()
            for i in range(EVENTS):
                assert self.arrived.acquire(timeout=TIMEOUT)
                with lock:
                    session.h2.send_data(stream, b"data: %d\n\n" % i, end_stream=i == EVENTS - 1)
                    session.flush()

        def poll(stream: int) -> None:
            self.polled.set()
            assert self.news.wait(TIMEOUT)
            with lock:
                session.answer(stream, b"news")

        for event in session.events():
            if isinstance(event, StreamEnded):
                path = dict(session.requests[event.stream_id].fields)[b":path"]
                serve = {b"/events": events, b"/poll": poll}.get(path)
                if serve:
                    threading.Thread(target=serve, args=(event.stream_id,), daemon=True).start()
                else:
                    with lock:
                        session.answer(event.stream_id, b"news")


@contextmanager
def before(backend: Backend, origin: str) -> Iterator[Proxy]:
    script, protocol = (backend.http1, "http/1.1") if origin == "1.1" else (backend.http2, "h2")
    with ExitStack() as stack:
        port = stack.enter_context(Scripted(script)).port
        backends = [BackendConfig(f"127.0.0.1:{port}", protocol=protocol)]
        config = ProxyConfig(backends=backends, listen="127.0.0.1:0", http2=Http2())
        yield stack.enter_context(Proxy(config=config))


@contextmanager
def asked(proxy: Proxy, front: str, path: bytes) -> Iterator[Callable[[bytes], None]]:
    """Ask for this, and yield a function that waits until these bytes have come of the answer."""
    if front == "2":
        client = Http2Client(proxy)
        stream = client.request(get(path))

        def wait(text: bytes) -> None:
            while text not in client.got[stream].body:
                client.read()
                assert not client.closed

        yield wait
        client.sock.close()
        return
    with Client(proxy) as old:
        old.send(GET % path)

        def wait_old(text: bytes) -> None:
            while text not in old.buffer:
                data = old.sock.recv(65536)
                assert data
                old.buffer += data

        yield wait_old


def test_each_event_arrives_before_the_next_is_sent(front: str, origin: str) -> None:
    backend = Backend()
    with before(backend, origin) as proxy, asked(proxy, front, b"/events") as wait:
        for i in range(EVENTS):
            wait(b"data: %d\n\n" % i)
            backend.arrived.release()


def test_a_long_poll_waits_for_its_news_and_others_do_not(front: str, origin: str) -> None:
    backend = Backend()
    with before(backend, origin) as proxy, asked(proxy, front, b"/poll") as wait:
        assert backend.polled.wait(TIMEOUT)
        assert ask(proxy)[0] == 200
        backend.news.set()
        wait(b"news")

"""Back-pressure: whoever is slow holds back the other side, and what the proxy keeps meanwhile is bounded."""

from __future__ import annotations

import socket
import threading
import time

from needs import need_feature

need_feature("http2")

from h2.settings import SettingCodes
from http2_client import Http2Client, get, serving, until
from scripted import TIMEOUT, Connection, answers

from lbkit.net.settings import Timeouts

SIZE = 8_000_000
PIECE = b"x" * 50_000
KERNEL = 5_000_000  # bytes that the kernel may hold between two sockets of one machine
MEGABYTE = 2**20


class Sender:
    """A backend that sends much, and counts what is taken."""

    def __init__(self) -> None:
        self.sent = 0

    def __call__(self, connection: Connection) -> None:
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        while connection.head():
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
            for _ in range(SIZE // len(PIECE)):
                connection.send(PIECE)
                self.sent += len(PIECE)


def settled(sender: Sender) -> int:
    """The bytes that have been sent when no more are."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 0.5:
        if sender.sent != last:
            last, since = sender.sent, time.monotonic()
        time.sleep(0.02)
    return last


def test_a_client_that_opens_no_window_holds_back_its_backend_and_no_other() -> None:
    sender = Sender()

    def script(connection: Connection) -> None:
        if b"/large" in (head := connection.head()):
            connection.buffer = head
            sender(connection)
        else:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with serving(script) as proxy, Http2Client(proxy, reads=False) as client:
        number = client.request(get(b"/large"))
        client.until(lambda: len(client.got[number].body) == 65_535)
        assert settled(sender) < KERNEL
        assert client.ask(get(b"/empty")).status == 200
        assert (
            max(stream.backlog for one in proxy.listener.open for stream in one.streams.values()) < MEGABYTE
        )
        client.reads = True
        for stream in (None, number):
            client.http.increment_flow_control_window(65_535, stream)
        client.flush()
        assert len(client.answer(number).body) == SIZE


def test_a_client_that_does_not_read_holds_back_its_backend() -> None:
    sender = Sender()
    with serving(sender) as proxy, Http2Client(proxy) as client:
        for stream in (None, client.request(get())):
            client.http.increment_flow_control_window(2 * SIZE, stream)
        client.flush()
        assert settled(sender) < SIZE
        assert len(client.answer(1).body) == SIZE


def test_windows_that_grow_or_shrink_by_settings_hold_for_answers_under_way() -> None:
    sender = Sender()
    with serving(sender) as proxy, Http2Client(proxy, reads=False) as client:
        client.http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})
        client.flush()
        number = client.request(get())
        client.until(lambda: len(client.got[number].body) == 10)
        client.http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
        client.flush()
        client.until(lambda: len(client.got[number].body) == 1000)


def test_answers_of_several_streams_are_sent_in_turns() -> None:
    """Neither of two endless answers waits for the end of the other."""
    with serving(Sender()) as proxy, Http2Client(proxy) as client:
        first, second = client.request(get()), client.request(get())
        client.until(lambda: len(client.got[first].body) > 300_000 and len(client.got[second].body) > 300_000)
        assert not client.got[first].ended
        assert not client.got[second].ended
        client.reset(first)
        client.reset(second)


def test_a_backend_that_does_not_read_holds_back_the_client() -> None:
    read = threading.Event()
    got = bytearray()

    def script(connection: Connection) -> None:
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        head = connection.head()
        assert read.wait(TIMEOUT)
        got.extend(connection.body(head))
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def send_all(least: int) -> None:
        """Send as the windows open, until there are none for a while, or it is done."""
        nonlocal sent
        client.sock.settimeout(0.5)
        while sent < SIZE:
            room = min(client.http.local_flow_control_window(number), 16_384, SIZE - sent)
            if room:
                client.http.send_data(number, b"x" * room, end_stream=sent + room == SIZE)
                client.flush()
                sent += room
                continue
            try:
                client.read()
            except TimeoutError:
                if sent >= least:
                    break
        client.sock.settimeout(TIMEOUT)

    with serving(script) as proxy, Http2Client(proxy) as client:
        client.until(lambda: client.settings)
        number = client.request(get(b"/", (b"content-length", b"%d" % SIZE), method=b"POST"), end=False)
        sent = 0
        send_all(0)
        assert 65_535 <= sent < KERNEL + MEGABYTE
        read.set()
        send_all(SIZE)
        assert client.answer(number).status == 200
    assert len(got) == SIZE


def test_a_body_that_stops_coming_is_answered_408() -> None:
    timeouts = Timeouts(read=0.3)
    with serving(answers(b""), timeouts=timeouts) as proxy, Http2Client(proxy) as client:
        number = client.request(get(b"/", (b"content-length", b"5"), method=b"POST"), b"he", end=False)
        assert client.answer(number).status == 408


def test_an_answer_that_is_not_taken_is_given_up_in_time() -> None:
    sender = Sender()
    with serving(sender, timeouts=Timeouts(read=0.5)) as proxy, Http2Client(proxy, reads=False) as client:
        number = client.request(get())
        client.until(lambda: client.got[number].reset is not None)
        backend = proxy.pool.pools[0].backends[0]
        until(lambda: backend.in_flight == 0)

"""The connection to a backend in memory: whatever comes in whatever order, each request ends exactly once."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from needs import need_feature

need_feature("http2")

from h2.exceptions import ProtocolError
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from lbkit.core import Backend
from lbkit.core.attempts import Failure
from lbkit.net.http2.client import SharedConnection
from lbkit.net.http2.client_stream import STREAM_WINDOW, ClientStream
from lbkit.net.messages import CHUNKED, RequestHead, ResponseHead
from lbkit.net.peer import Peer

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"


class Wire(asyncio.Transport):
    """A socket that takes everything, until it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0


class Keeper:
    max_head = 4096

    def __init__(self) -> None:
        self.kept: list[SharedConnection] = []

    def now(self) -> float:
        return 0.0

    def idle_session(self, connection: SharedConnection) -> None:
        assert not connection.streams

    def forget_session(self, connection: SharedConnection) -> None: ...


class Receiver:
    """Checks that it gets one answer or one failure, and nothing after that."""

    def __init__(self) -> None:
        self.head: ResponseHead | None = None
        self.body = b""
        self.over: str | Failure = ""

    def interim(self, head: ResponseHead) -> None:
        assert not self.over
        assert self.head is None

    def answer(self, head: ResponseHead, data: bytes, end: bool) -> None:
        assert not self.over
        assert self.head is None
        self.head = head
        self._take(data, end)

    def data(self, data: bytes, end: bool) -> None:
        assert not self.over
        assert self.head
        self._take(data, end)

    def _take(self, data: bytes, end: bool) -> None:
        self.body += data
        if end:
            self.over = "whole"

    def lost(self, failure: Failure, kept: bool) -> None:
        assert not self.over
        self.over = failure

    def origin_ready(self, ready: bool) -> None:
        assert not self.over

    def switched(self, head: ResponseHead, transport: asyncio.Transport, data: bytes) -> None:
        raise AssertionError("HTTP/2 has no 101")


class TunnelReceiver(Receiver, asyncio.Protocol):
    """Has asked for a WebSocket; once there is one, it is what reads it."""

    transport: asyncio.Transport | None = None
    half = False

    def switched(self, head: ResponseHead, transport: asyncio.Transport, data: bytes) -> None:
        assert head.status == 101
        assert not self.over
        assert self.head is None
        self.head, self.transport = head, transport
        transport.set_protocol(self)
        transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        assert not self.over
        assert not self.half

    def eof_received(self) -> bool:
        assert not self.over
        assert not self.half
        self.half = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        assert not self.over
        self.over = "lost"


class World:
    """A connection, the requests on it, and a backend that sends what it is told to."""

    def __init__(self) -> None:
        self.wire, self.encoder = Wire(), Encoder()
        self.connection = SharedConnection(Keeper(), Backend("b"), b"http")
        self.connection.connection_made(self.wire)
        self.asked: list[tuple[ClientStream, Receiver]] = []
        self.given_up: set[ClientStream] = set()
        self.corked, self.waiting = False, b""
        self.feed([SettingsFrame(settings={SettingsFrame.ENABLE_CONNECT_PROTOCOL: 1})])

    def feed(self, frames: list[Frame], cut: int = 0) -> None:
        data = self.waiting + b"".join(frame.serialize() for frame in frames)
        if self.corked:
            self.corked, self.waiting = False, data
            return
        self.waiting = b""
        for piece in (data[:cut], data[cut:]) if cut else (data,):
            if not self.wire.closed:
                self.connection.data_received(piece)

    def ask(self, length: int) -> None:
        if not self.connection.free:
            return
        stream, receiver = ClientStream(self.connection), Receiver()
        request = RequestHead(
            b"POST", b"/", HEAD, Peer("1.2.3.4"), "1.2.3.4", length=CHUNKED if length else 0
        )
        self.asked.append((stream, receiver))
        stream.send(receiver, request, b"x" * length, length % 2 == 0)

    def ask_tunnel(self, key: bool) -> None:
        if self.connection.free:
            stream, receiver = ClientStream(self.connection), TunnelReceiver()
            field = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" if key else b""
            head = b"GET / HTTP/1.1\r\nHost: a\r\n" + field
            request = RequestHead(b"GET", b"/", head, Peer("1.2.3.4"), "1.2.3.4", upgrade=True)
            self.asked.append((stream, receiver))
            stream.send(receiver, request, b"", True)

    def happens(self, kind: str, which: int, size: int, flag: bool) -> None:
        number = 2 * which + 1
        end = ["END_STREAM"] if flag else []
        match kind:
            case "ask":
                self.ask(size)
            case "ask tunnel":
                self.ask_tunnel(flag)
            case "headers":
                fields = [
                    [(":status", "200")],
                    [(":status", "103")],
                    [(":status", "200"), ("content-length", "7")],
                    [(":status", "200"), ("content-length", "+7")],
                    [("grpc-status", "0")],
                    [(":status", "abc")],
                    [(":status", "200"), ("x", "a\r\nb")],
                    [(":status", "101")],
                    [(":status", "200"), ("x", "y" * 5000)],
                ][size % 9]
                self.feed(
                    [HeadersFrame(number, self.encoder.encode(fields), flags=["END_HEADERS", *end])], size
                )
            case "data":
                self.feed([DataFrame(number, b"d" * size, flags=end)], size % 20)
            case "reset":
                self.feed([RstStreamFrame(number, error_code=size % 15)])
            case "goaway":
                self.feed([GoAwayFrame(0, last_stream_id=number if flag else 2**31 - 1, error_code=size % 3)])
            case "settings":
                values = {SettingsFrame.MAX_CONCURRENT_STREAMS: size, SettingsFrame.INITIAL_WINDOW_SIZE: size}
                self.feed([SettingsFrame(0, settings=values)])
            case "window":
                self.feed([WindowUpdateFrame(number if flag else 0, window_increment=size + 1)])
            case "cork":
                self.corked = True  # the next frames come together with those after them
            case "ping":
                self.feed([PingFrame(0, b"12345678", flags=["ACK"] if flag else [])])
            case "continuation":
                self.feed([ContinuationFrame(number, b"x" * size)])
            case "garbage":
                if not self.wire.closed:
                    self.connection.data_received(bytes([size % 256]) * (which + 1))
            case "lost":
                self.wire.closed = True
                self.connection.connection_lost(None)
            case "pause":
                if not self.wire.closed:
                    (self.connection.pause_writing if flag else self.connection.resume_writing)()
            case _ if self.asked:
                self.request_does(kind, which, size, flag)

    def request_does(self, kind: str, which: int, size: int, flag: bool) -> None:
        stream, receiver = self.asked[which % len(self.asked)]
        if receiver.over or stream in self.given_up:
            return
        if isinstance(receiver, TunnelReceiver) and kind != "close":
            self.tunnel_does(receiver.transport, kind, size, flag)
        elif kind == "close" and isinstance(receiver, TunnelReceiver) and receiver.transport:
            receiver.transport.abort()  # what reads a tunnel hears of its end, whoever ends it
        elif kind == "close":
            self.given_up.add(stream)
            stream.close()
        elif kind == "read":
            stream.read(flag)
        elif kind == "body" and not stream._complete:
            stream.send_body(b"x" * size, flag)

    @staticmethod
    def tunnel_does(transport: asyncio.Transport | None, kind: str, size: int, flag: bool) -> None:
        if transport is None or transport.is_closing():
            return
        if kind == "read":
            (transport.resume_reading if flag else transport.pause_reading)()
        elif kind == "body":
            transport.write(b"x" * size)
            if flag:
                (transport.write_eof if size % 3 else transport.close)()


KINDS = [
    *[
        "ask",
        "ask",
        "ask tunnel",
        "headers",
        "headers",
        "data",
        "data",
        "body",
        "reset",
        "goaway",
        "settings",
        "window",
        "ping",
    ],
    *["continuation", "garbage", "lost", "pause", "close", "read", "cork"],
]
EVENTS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 4), st.integers(0, 3000), st.booleans()), max_size=40
)


@settings(max_examples=500, deadline=None)
@given(EVENTS)
@example([("ask tunnel", 0, 0, True), ("headers", 0, 0, False), ("data", 0, 9, True), ("body", 0, 3, True)])
@example([("ask tunnel", 0, 0, True), ("headers", 0, 0, True), ("body", 0, 4, True)])
@example([("ask tunnel", 0, 0, True), *[("headers", 0, 0, False)] * 2, ("close", 0, 0, False)])
@example([("ask tunnel", 0, 0, True), ("cork", 0, 0, True), ("headers", 0, 0, False), ("reset", 0, 8, True)])
def test_each_request_ends_exactly_once(events: list[tuple[str, int, int, bool]]) -> None:
    async def play() -> None:
        world = World()
        for event in events:
            world.happens(*event)
        world.wire.closed = True
        world.connection.connection_lost(None)
        for _, receiver in world.asked:
            if isinstance(receiver, TunnelReceiver) and receiver.transport:
                receiver.transport.resume_reading()  # what came to its end before is delivered
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for stream, receiver in world.asked:
            assert bool(receiver.over) is (stream not in world.given_up)
        assert not world.connection.streams

    asyncio.run(play())


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=8), st.booleans())
def test_no_bytes_of_a_backend_raise(pieces: list[bytes], settled: bool) -> None:
    async def play() -> None:
        world = World()
        world.ask(5)
        if settled:
            world.feed([HeadersFrame(1, world.encoder.encode([(":status", "200")]), flags=["END_HEADERS"])])
        for piece in pieces:
            if not world.wire.closed:
                world.connection.data_received(piece)

    asyncio.run(play())


def test_a_backend_cannot_send_more_than_the_window_to_a_client_that_does_not_read() -> None:
    async def play() -> int:
        world = World()
        world.ask(0)
        stream, receiver = world.asked[0]
        world.feed([HeadersFrame(1, world.encoder.encode([(":status", "200")]), flags=["END_HEADERS"])])
        stream.read(False)
        while not world.wire.closed:
            world.feed([DataFrame(1, b"d" * 16_384)])
        return len(receiver.body)

    assert asyncio.run(play()) == STREAM_WINDOW


def test_an_endless_head_ends_the_connection() -> None:
    async def play() -> int:
        world = World()
        world.ask(0)
        world.feed([HeadersFrame(1, b"\x00\x01a\x01a")])
        sent = 0
        while not world.wire.closed:
            world.feed([ContinuationFrame(1, b"\x00\x01a\x01a" * 100)])
            sent += 1
        return sent

    assert asyncio.run(play()) <= 64


def test_the_library_still_ends_everything_at_goaway() -> None:
    """What `ClientLibrary` overrides: when this fails, the override can go."""
    from h2.connection import H2Connection

    http = H2Connection()
    http.initiate_connection()
    http.send_headers(1, [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")], True)
    http.receive_data(GoAwayFrame(0, last_stream_id=1).serialize())
    head = HeadersFrame(1, Encoder().encode([(":status", "200")]), flags=["END_HEADERS", "END_STREAM"])
    try:
        http.receive_data(head.serialize())
    except ProtocolError:
        return
    raise AssertionError("remove ClientLibrary._receive_goaway_frame")

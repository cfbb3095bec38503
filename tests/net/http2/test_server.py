"""A connection without sockets: any frames in any order, and exchanges that do as the test says."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from needs import need_feature

need_feature("http2")

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hpack import Encoder
from http2_client import get, headers_frames
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from lbkit.net.http1.listener import Listener
from lbkit.net.http2.guard import PREFACE
from lbkit.net.http2.listener import HEADER_TABLE, Http2Listener
from lbkit.net.http2.rules import Http2
from lbkit.net.http2.server import Http2Connection
from lbkit.net.messages import ResponseHead
from lbkit.net.settings import Limits, Timeouts

OK = ResponseHead(200, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", 2)


class Taken(asyncio.Transport):
    """Collects what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1), "sockname": ("192.0.2.2", 2)})
        self.written = bytearray()
        self.reading = True
        self.closing = False

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Played:
    """An exchange that answers at the end of the request, unless it is told to wait."""

    deadline = 1e9

    def __init__(self, request: Any, client: Any, now: float) -> None:
        self.request, self.client = request, client
        self.calls: list[str] = []
        self.received = b""
        Played.all.append(self)
        self.ready = True

    all: list[Played] = []  # noqa: RUF012

    def begin(self, now: float) -> None:
        self.calls.append("begin")
        if self.request.length == 0:
            self._answer()

    def body(self, data: bytes, end: bool) -> None:
        self.received += data
        if end:
            self._answer()

    def _answer(self) -> None:
        if not self.request.target.startswith(b"/wait") and "over" not in self.calls:
            self.client.respond(OK, b"ok", True)

    def refuse(self, status: int, why: str) -> None:
        self.calls.append("over")
        self.client.abort()

    def delivered(self) -> None:
        assert "over" not in self.calls
        self.calls.append("over")

    def client_gone(self) -> None:
        assert "over" not in self.calls
        self.calls.append("over")

    def client_ready(self, ready: bool) -> None:
        assert ready != self.ready
        self.ready = ready

    def cut(self, backend: object) -> None: ...
    def expired(self, now: float) -> None: ...


class Pair:
    """A connection and the library as its client."""

    def __init__(self, rules: Http2 | None = None, limits: Limits | None = None) -> None:
        Played.all = []
        self.faults: list[str] = []
        self.time = 0.0
        listener = Listener(Played, timeouts=Timeouts(), limits=limits or Limits())
        listener.now = lambda: self.time
        listener.on_fault = lambda what: self.faults.append(traceback.format_exc())
        self.transport = Taken()
        self.shared = Http2Listener(listener, rules or Http2())
        self.server = Http2Connection(self.shared)
        self.server.connection_made(self.transport)
        configuration = H2Configuration(
            client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.client = H2Connection(configuration)
        self.client.initiate_connection()
        self.exchange()

    def exchange(self) -> list[Any]:
        """Let both take what the other has written; return what happens at the client."""
        happened = []
        while True:
            data = self.client.data_to_send()
            if data and not self.server.closed:
                self.server.data_received(data)
            written = bytes(self.transport.written)
            self.transport.written.clear()
            if not written:
                return happened
            happened += self.client.receive_data(written)


def test_a_body_that_is_not_taken_keeps_its_window_until_it_is_given_up() -> None:
    pair = Pair(Http2(connection_window=65_535))
    for number in range(1, 21, 2):
        pair.client.send_headers(number, get(b"/wait", method=b"POST"))
        pair.exchange()
        Played.all[-1].client.read_body(False)
        for _ in range(4):
            pair.client.send_data(number, b"x" * 10_000)
        pair.exchange()
        assert pair.client.local_flow_control_window(number) == 25_535
        pair.client.reset_stream(number)
        pair.exchange()
        assert pair.client.outbound_flow_control_window > 40_000


def test_a_body_that_is_taken_later_opens_the_window_later() -> None:
    pair = Pair()
    pair.client.send_headers(1, get(b"/wait", method=b"POST"))
    pair.exchange()
    Played.all[0].client.read_body(False)
    for _ in range(4):
        pair.client.send_data(1, b"x" * 16_000)
    pair.exchange()
    assert pair.client.local_flow_control_window(1) == 1535
    Played.all[0].client.read_body(True)
    pair.exchange()
    assert pair.client.local_flow_control_window(1) == 65_535


def test_nothing_is_read_while_the_transport_is_full_and_all_are_told() -> None:
    pair = Pair()
    for number in (1, 3):
        pair.client.send_headers(number, get(b"/wait"), end_stream=True)
    pair.exchange()
    first, second = Played.all
    pair.server.pause_writing()
    assert not pair.transport.reading
    assert not first.ready
    assert not second.ready
    first.client.respond(ResponseHead(200, b"HTTP/1.1 200 OK\r\n", -1), b"x" * 100, False)
    assert not any(type(event).__name__ == "DataReceived" for event in pair.exchange())
    pair.server.resume_writing()
    assert any(type(event).__name__ == "DataReceived" for event in pair.exchange())
    assert pair.transport.reading
    assert first.ready
    assert second.ready


def test_a_clients_wish_for_a_large_table_is_not_granted() -> None:
    pair = Pair()
    pair.client.update_settings({SettingCodes.HEADER_TABLE_SIZE: 2**32 - 1})
    pair.client.send_headers(1, get(), end_stream=True)
    pair.exchange()
    assert pair.server.http.encoder.header_table_size == HEADER_TABLE


def test_unknown_settings_are_not_kept() -> None:
    pair = Pair()
    for number in range(100, 150):
        pair.server.data_received(2 * SettingsFrame(0, {number: 1}).serialize())
    assert len(pair.server.http.remote_settings) < 10


def test_requests_on_all_connections_are_as_many_as_clients_may_be() -> None:
    pair = Pair(limits=Limits(connections=3))
    for number in range(1, 11, 2):
        pair.client.send_headers(number, get(b"/wait"), end_stream=True)
    resets = [event for event in pair.exchange() if type(event).__name__ == "StreamReset"]
    assert [event.stream_id for event in resets] == [7, 9]
    assert {event.error_code for event in resets} == {ErrorCodes.REFUSED_STREAM}
    assert pair.shared.listener.requests == 3
    pair.server.connection_lost(None)
    assert pair.shared.listener.requests == 0
    assert all(one.calls[-1] == "over" for one in Played.all)


_encoder = Encoder()
_encoder.header_table_size = 0
blocks = st.sampled_from(
    [
        *(
            _encoder.encode(get(path, method=method))
            for path in (b"/", b"/wait")
            for method in (b"GET", b"POST")
        ),
        _encoder.encode(get(b"/", (b"content-length", b"3"), method=b"POST")),
        _encoder.encode(get(b"/", (b"content-length", b"-3"))),
        _encoder.encode([(b"x", b"y")]),
        _encoder.encode([*get(method=b"CONNECT"), (b":protocol", b"websocket")]),
        _encoder.encode([(b":status", b"100")]),
        b"\xff\xff\xff\xff",
        b"\x3f\xe1\xff\x03",
        b"",
    ]
) | st.binary(max_size=20)
numbers = st.sampled_from([0, 1, 2, 3, 5, 7, 2**31 - 1])
flags = st.sets(st.sampled_from(["END_STREAM", "END_HEADERS"]))
frames = st.one_of(
    st.builds(lambda n, b: headers_frames(n, b)[0], numbers.filter(bool), blocks),
    st.builds(lambda n, b, f: HeadersFrame(n, b, flags=f), numbers.filter(bool), blocks, flags),
    st.builds(
        lambda n, b, f: ContinuationFrame(n, b, flags=f & {"END_HEADERS"}),
        numbers.filter(bool),
        blocks,
        flags,
    ),
    st.builds(
        lambda n, b, f: DataFrame(n, b, flags=f & {"END_STREAM"}),
        numbers.filter(bool),
        st.sampled_from([b"", b"abc", b"x" * 16_384]),
        flags,
    ),
    st.builds(lambda n: RstStreamFrame(n, error_code=8), numbers.filter(bool)),
    st.builds(
        lambda code, value: SettingsFrame(0, {code: value}),
        st.integers(1, 9),
        st.sampled_from([0, 1, 65_535, 2**31 - 1, 2**32 - 1]),
    ),
    st.builds(lambda n, size: WindowUpdateFrame(n, size), numbers, st.sampled_from([1, 100, 2**31 - 1])),
    st.builds(lambda n: PriorityFrame(n, depends_on=n, stream_weight=1), numbers.filter(bool)),
    st.builds(lambda n: PushPromiseFrame(n, promised_stream_id=2), numbers.filter(bool)),
    st.builds(lambda: PingFrame(0, b"12345678")),
    st.builds(lambda: GoAwayFrame(0)),
    st.builds(lambda kind: ExtensionFrame(kind, 0, body=b"x"), st.integers(0x20, 0x22)),
)


@settings(max_examples=400)
@given(st.lists(frames | st.binary(max_size=12), max_size=12), st.lists(st.integers(1, 40), min_size=1))
def test_no_frames_whatever_make_it_fail(those: list[Frame | bytes], sizes: list[int]) -> None:
    """Nothing is raised, each exchange ends once, and none is left when the connection is gone."""

    async def play() -> None:
        pair = Pair()
        data = b"".join(one if isinstance(one, bytes) else one.serialize() for one in those)
        at = turn = 0
        while at < len(data):
            size = sizes[turn % len(sizes)] ** 2
            pair.server.data_received(data[at : at + size])
            at, turn = at + size, turn + 1
            pair.time += 0.1
            pair.server.expire(pair.time)
        pair.server.connection_lost(None)
        assert not pair.faults
        assert pair.shared.listener.requests == 0
        assert all(one.calls[-1:] == ["over"] for one in Played.all)

    asyncio.run(play())


@given(st.binary(max_size=200))
def test_no_bytes_whatever_make_it_fail(data: bytes) -> None:
    pair = Pair()
    pair.server.data_received(data)
    assert not pair.faults


def test_a_preface_that_is_wrong_ends_the_connection() -> None:
    pair = Pair()
    fresh = Http2Connection(pair.shared)
    fresh.connection_made(pair.transport)
    fresh.data_received(PREFACE[:-1] + b"x")
    assert fresh.closed
    assert not pair.faults

"""An HTTP/2 client for tests: it sends what it is told to, allowed or not, and collects what comes back."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from hpack import Encoder
from hyperframe.frame import ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame
from scripted import TIMEOUT, Script, proxied

from lbkit.net import Proxy
from lbkit.net.http2.rules import Http2

Fields = Sequence[tuple[bytes, bytes]]


def get(path: bytes = b"/", *more: tuple[bytes, bytes], method: bytes = b"GET") -> list[tuple[bytes, bytes]]:
    """The fields of a request."""
    pseudo = [(b":method", method), (b":scheme", b"http"), (b":authority", b"a"), (b":path", path)]
    return [*pseudo, *more]


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def serving(*scripts: Script, rules: Http2 | None = None, **options: object) -> Iterator[Proxy]:
    with proxied(*scripts, http2=rules or Http2(), **options) as proxy:
        yield proxy
    assert not proxy.faults.lines()


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


class Answer:
    """What has come back on a stream."""

    def __init__(self) -> None:
        self.status = 0
        self.interim: list[int] = []
        self.fields: dict[bytes, bytes] = {}
        self.body = b""
        self.trailers: dict[bytes, bytes] = {}
        self.ended = False
        self.reset: ErrorCodes | int | None = None

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None


class Http2Client:
    """One connection. `reads`: windows are opened again for what arrives."""

    def __init__(
        self, proxy: Any, context: ssl.SSLContext | None = None, reads: bool = True, begin: bool = True
    ) -> None:
        self.sock: socket.socket = socket.create_connection((proxy.host, proxy.port), timeout=TIMEOUT)
        if context:
            self.sock = context.wrap_socket(self.sock, server_hostname="a.test")
        configuration = H2Configuration(
            client_side=True,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            validate_inbound_headers=True,
        )
        self.http = H2Connection(configuration)
        self.http.initiate_connection()
        self.reads = reads
        self.got: dict[int, Answer] = {}
        self.pings = 0
        self.settings: dict[Any, int] = {}
        self.goaways: list[tuple[int, int]] = []  # the last stream, and the error
        self.closed = False
        self.next = 1
        self.encoder = Encoder()  # for frames that bypass the library
        if begin:
            self.flush()

    # -- sending ------------------------------------------------------------------------------

    def flush(self) -> None:
        if data := self.http.data_to_send():
            self.sock.sendall(data)

    def raw(self, data: bytes | Frame | Iterable[Frame]) -> None:
        """Send bytes, or frames, past the library."""
        if isinstance(data, Frame):
            data = data.serialize()
        elif not isinstance(data, bytes):
            data = b"".join(frame.serialize() for frame in data)
        self.sock.sendall(data)

    def request(self, fields: Fields, body: bytes = b"", end: bool = True) -> int:
        """Send a request; return its stream. The body has to fit into the windows."""
        number, self.next = self.next, self.next + 2
        self.got[number] = Answer()
        self.http.send_headers(number, list(fields), end_stream=end and not body)
        if body:
            self.send(number, body, end)
        self.flush()
        return number

    def send(self, number: int, data: bytes, end: bool = False) -> None:
        for at in range(0, len(data), 16_384):
            piece = data[at : at + 16_384]
            self.http.send_data(number, piece, end_stream=end and at + 16_384 >= len(data))
        if not data:
            self.http.send_data(number, b"", end_stream=end)
        self.flush()

    def reset(self, number: int, code: ErrorCodes = ErrorCodes.CANCEL) -> None:
        self.http.reset_stream(number, code)
        self.flush()

    # -- receiving -------------------------------------------------------------------------------

    def read(self) -> None:
        """Read once, and take note of it."""
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.closed = True
            return
        data = self._without_goaway(data)
        for event in self.http.receive_data(data):
            self._note(event)
        if not self.closed:
            try:
                self.flush()
            except OSError:
                self.closed = True

    def _without_goaway(self, data: bytes) -> bytes:
        """The library ends at a GOAWAY, but streams go on."""
        data = getattr(self, "_rest", b"") + data
        at, kept = 0, b""
        while len(data) - at >= 9:
            frame, length = Frame.parse_frame_header(memoryview(data[at : at + 9]))
            if len(data) - at < 9 + length:
                break
            if isinstance(frame, GoAwayFrame):
                frame.parse_body(memoryview(data[at + 9 : at + 9 + length]))
                self.goaways.append((frame.last_stream_id, frame.error_code))
            else:
                kept += data[at : at + 9 + length]
            at += 9 + length
        self._rest = data[at:]
        return kept

    def _note(self, event: events.Event) -> None:
        if isinstance(event, events.RemoteSettingsChanged):
            self.settings.update({code: change.new_value for code, change in event.changed_settings.items()})
        elif isinstance(event, events.PingAckReceived):
            self.pings += 1
        number = getattr(event, "stream_id", None)
        answer = self.got.setdefault(number, Answer()) if number else None
        if answer is None:
            return
        if isinstance(event, events.InformationalResponseReceived):
            answer.interim.append(int(dict(event.headers)[b":status"]))
        elif isinstance(event, events.ResponseReceived):
            answer.fields = dict(event.headers)
            answer.status = int(answer.fields[b":status"])
        elif isinstance(event, events.DataReceived):
            answer.body += event.data
            if self.reads:
                self.http.acknowledge_received_data(event.flow_controlled_length, number)
        elif isinstance(event, events.TrailersReceived):
            answer.trailers = dict(event.headers)
        elif isinstance(event, events.StreamEnded):
            answer.ended = True
        elif isinstance(event, events.StreamReset):
            answer.reset = event.error_code

    def until(self, true: Callable[[], object]) -> None:
        """Read until this is so. AssertionError if the proxy closes before."""
        end = time.monotonic() + TIMEOUT
        while not true():
            assert not self.closed, f"the proxy closed the connection: {self.goaways}"
            assert time.monotonic() < end, "it never came true"
            self.read()

    def answer(self, number: int) -> Answer:
        """The answer on this stream, when it is over."""
        self.until(lambda: self.got[number].over)
        return self.got[number]

    def ask(self, fields: Fields, body: bytes = b"") -> Answer:
        return self.answer(self.request(fields, body))

    def ended(self) -> int:
        """Read until the proxy closes; return the error of its last GOAWAY."""
        end = time.monotonic() + TIMEOUT
        while not self.closed:
            assert time.monotonic() < end, "the proxy did not close"
            self.read()
        return self.goaways[-1][1] if self.goaways else -1

    def __enter__(self) -> Http2Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.sock.close()


def headers_frames(
    number: int, block: bytes, size: int = 16_384, end_stream: bool = True, whole: bool = True
) -> list[Frame]:
    """A head of this block, in frames of `size` bytes; `whole`: the last one says so."""
    frames: list[Frame] = [HeadersFrame(number, block[:size])]
    frames += [ContinuationFrame(number, block[at : at + size]) for at in range(size, len(block), size)]
    if end_stream:
        frames[0].flags.add("END_STREAM")
    if whole:
        frames[-1].flags.add("END_HEADERS")
    return frames


def data_frame(number: int, data: bytes = b"", end: bool = False) -> DataFrame:
    frame = DataFrame(number, data)
    if end:
        frame.flags.add("END_STREAM")
    return frame


def without(name: bytes) -> list[tuple[bytes, bytes]]:
    return [field for field in get() if field[0] != name]


def having(name: bytes, value: bytes) -> list[tuple[bytes, bytes]]:
    return [(n, value if n == name else v) for n, v in get()]


MALFORMED = {
    "no method": without(b":method"),
    "no path": without(b":path"),
    "no scheme": without(b":scheme"),
    "no authority": without(b":authority"),
    "an empty path": having(b":path", b""),
    "an empty authority": having(b":authority", b""),
    "a URL as path": having(b":path", b"http://b/"),
    "a space in the path": having(b":path", b"/ HTTP/1.1"),
    "a line end in the path": having(b":path", b"/\r\nX: y"),
    "a tab in the path": having(b":path", b"/\tx"),
    "a space in the method": having(b":method", b"GET /admin HTTP/1.1"),
    "a line end in the method": having(b":method", b"GET\r\n"),
    "a line end in the authority": having(b":authority", b"a\r\nx: y"),
    "another scheme": having(b":scheme", b"ftp"),
    "a path that is only a star": having(b":path", b"*"),
    "two paths": [*get(), (b":path", b"/")],
    "a pseudo-header field after others": [(b"accept", b"*/*"), *get()],
    "an unknown pseudo-header field": [(b":who", b"me"), *get()],
    "a status": [(b":status", b"200"), *get()],
    "a protocol without CONNECT": [*get(), (b":protocol", b"websocket")],
    "a tunnel without a path": [
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        (b":authority", b"a"),
    ],
    "another Host": get(b"/", (b"host", b"b")),
    "two Hosts": get(b"/", (b"host", b"a"), (b"host", b"b")),
    "upper case": get(b"/", (b"Accept", b"*/*")),
    "no name": get(b"/", (b"", b"x")),
    "a colon in a name": get(b"/", (b"a:b", b"x")),
    "a space in a name": get(b"/", (b"a b", b"x")),
    "a line end in a name": get(b"/", (b"a\r\nb", b"x")),
    "a line end in a value": get(b"/", (b"a", b"x\r\nTransfer-Encoding: chunked")),
    "LF in a value": get(b"/", (b"a", b"x\ny")),
    "CR in a value": get(b"/", (b"a", b"x\ry")),
    "NUL in a value": get(b"/", (b"a", b"x\0y")),
    "DEL in a value": get(b"/", (b"a", b"x\x7fy")),
    "a space before a value": get(b"/", (b"a", b" x")),
    "a space after a value": get(b"/", (b"a", b"x ")),
    "Connection": get(b"/", (b"connection", b"close")),
    "Keep-Alive": get(b"/", (b"keep-alive", b"timeout=5")),
    "Proxy-Connection": get(b"/", (b"proxy-connection", b"close")),
    "Transfer-Encoding": get(b"/", (b"transfer-encoding", b"chunked")),
    "Upgrade": get(b"/", (b"upgrade", b"h2c")),
    "TE": get(b"/", (b"te", b"gzip")),
    "two lengths": get(b"/", (b"content-length", b"1"), (b"content-length", b"2")),
    "a length that is no number": get(b"/", (b"content-length", b"+1")),
    "a length without a body": get(b"/", (b"content-length", b"1")),
}

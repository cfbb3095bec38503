"""An HTTP/3 client for tests, by aioquic: over one UDP socket, and without a thread or a loop of its own."""

from __future__ import annotations

import functools
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aioquic.h3 import connection as h3
from aioquic.h3 import events as h3_events
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from scripted import TIMEOUT, Script, proxied

from lbkit.net import Proxy
from lbkit.net.http3.frames import GOAWAY, READ_IN_CONTROL, FrameReader, read_varint
from lbkit.net.http3.rules import Http3
from lbkit.net.tls.lab import make_certificates
from lbkit.net.tls.rules import Certificate, TlsRules

Fields = Sequence[tuple[bytes, bytes]]


@functools.cache
def lab() -> Path:
    """A folder with an authority, and certificates for a.test and b.test."""
    folder = Path(tempfile.mkdtemp(prefix="lbkit-http3-"))
    make_certificates(folder, ["a.test", "b.test"])
    return folder


def tls_rules(**options: Any) -> TlsRules:
    names = "a.test", "b.test"
    made = [Certificate(str(lab() / f"{name}.pem"), str(lab() / f"{name}.key")) for name in names]
    return TlsRules(made, **options)


def get(path: bytes = b"/", *more: tuple[bytes, bytes], method: bytes = b"GET") -> list[tuple[bytes, bytes]]:
    """The fields of a request."""
    pseudo = [(b":method", method), (b":scheme", b"https"), (b":authority", b"a.test"), (b":path", path)]
    return [*pseudo, *more]


CONTROL_STREAM = 3  # the first that a server opens in one direction
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def serving(
    *scripts: Script, rules: Http3 | None = None, tls: TlsRules | None = None, **options: Any
) -> Iterator[Proxy]:
    with proxied(*scripts, http3=rules or Http3(), tls=tls or tls_rules(), **options) as proxy:
        yield proxy
    assert not proxy.faults.lines()


class Answer:
    """What has come back on a stream."""

    def __init__(self) -> None:
        self.status = 0
        self.interim: list[int] = []
        self.fields: dict[bytes, bytes] = {}
        self.body = bytearray()
        self.trailers: dict[bytes, bytes] = {}
        self.ended = False
        self.reset: int | None = None

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None


class Http3Client:
    """One connection. `name`: the host that is asked for. `patience`: seconds that it waits for something to
    come true. `http`: False leaves all streams to the test."""

    def __init__(
        self, proxy: Any, name: str = "a.test", patience: float = TIMEOUT, http: bool = True, **options: Any
    ) -> None:
        self.address = (proxy.host, proxy.http3_port)
        self.speaks_http = http
        self.sock: Any = proxy.udp() if hasattr(proxy, "udp") else self._socket()
        configuration = QuicConfiguration(
            alpn_protocols=["h3"],
            server_name=name,
            cafile=str(lab() / "ca.pem"),
            **options,
        )
        self.quic = QuicConnection(configuration=configuration)
        self.http: h3.H3Connection | None = None
        self.got: dict[int, Answer] = {}
        self.closed: events.ConnectionTerminated | None = None
        self.ready = False
        self.pings = 0
        self.datagrams = 0  # received
        self.stopped: dict[int, int] = {}
        self.goaways: list[int] = []  # the first stream that is not served
        self.control = False  # the proxy's control stream has begun
        self._control = FrameReader(READ_IN_CONTROL)
        self.patience = patience
        self.quic.connect(self.address, time.monotonic())
        self.flush()
        try:
            self.until(lambda: self.ready and self.control)
        except BaseException:
            self.sock.close()
            raise

    def _socket(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        return sock

    def move(self) -> None:
        """Go on from another address."""
        self.sock.close()
        self.sock = self._socket()

    # -- sending ------------------------------------------------------------------------------

    def flush(self) -> None:
        for data, address in self.quic.datagrams_to_send(time.monotonic()):
            self.sock.sendto(data, address)

    def raw(self, data: bytes) -> None:
        """Send a datagram past the library."""
        self.sock.sendto(data, self.address)

    def open(self) -> int:
        number = self.quic.get_next_available_stream_id()
        self.quic.send_stream_data(number, b"")
        self.got[number] = Answer()
        return number

    def request(self, fields: Fields, body: bytes = b"", end: bool = True) -> int:
        """Send a request; return its stream."""
        assert self.http
        number = self.open()
        self.http.send_headers(number, list(fields), end and not body)
        if body:
            self.http.send_data(number, body, end)
        self.flush()
        return number

    def send(self, number: int, data: bytes, end: bool = False) -> None:
        assert self.http
        self.http.send_data(number, data, end)
        self.flush()

    def reset(self, number: int) -> None:
        self.quic.reset_stream(number, h3.ErrorCode.H3_REQUEST_CANCELLED)
        self.quic.stop_stream(number, h3.ErrorCode.H3_REQUEST_CANCELLED)
        self.flush()

    # -- receiving -------------------------------------------------------------------------------

    def read(self, wait: float = 0.05) -> bool:
        """Take note of what has come; return whether something has."""
        at = self.quic.get_timer()
        now = time.monotonic()
        self.sock.settimeout(max(0.001, min(wait, at - now if at is not None else wait)))
        try:
            data, address = self.sock.recvfrom(65536)
        except (TimeoutError, ConnectionRefusedError):
            data = b""
        now = time.monotonic()
        if data:
            self.datagrams += 1
            self.quic.receive_datagram(data, address, now)
        if (at := self.quic.get_timer()) is not None and at <= now:
            self.quic.handle_timer(now)
        while event := self.quic.next_event():
            self._note(event)
        self.closed = self.quic._close_event  # the library reports it seconds later
        self.flush()
        return bool(data)

    def _note(self, event: events.QuicEvent) -> None:
        if isinstance(event, events.HandshakeCompleted):
            self.ready = True
        elif isinstance(event, events.ProtocolNegotiated):
            self.http = h3.H3Connection(self.quic) if self.speaks_http else None
        elif isinstance(event, events.PingAcknowledged):
            self.pings += 1
        elif isinstance(event, events.StreamReset):
            self.got.setdefault(event.stream_id, Answer()).reset = event.error_code
        elif isinstance(event, events.StopSendingReceived):
            self.stopped[event.stream_id] = event.error_code
        elif isinstance(event, events.StreamDataReceived) and event.stream_id == CONTROL_STREAM:
            self._note_control(event.data)
        if self.http is not None:
            for happened in self.http.handle_event(event):
                self._note_http(happened)

    def _note_control(self, data: bytes) -> None:
        """The library drops GOAWAY."""
        if not self.control:
            data = data[1:]  # the kind of the stream
        self.control = True
        for kind, payload in self._control.feed(data):
            if kind == GOAWAY:
                self.goaways.append((read_varint(payload, 0) or (0,))[0])

    def _note_http(self, event: h3_events.H3Event) -> None:
        answer = self.got.setdefault(event.stream_id, Answer())  # type: ignore[attr-defined]
        if isinstance(event, h3_events.DataReceived):
            answer.body += event.data
            answer.ended = event.stream_ended
        elif isinstance(event, h3_events.HeadersReceived):
            fields = dict(event.headers)
            status = int(fields.get(b":status", 0))
            if answer.status:
                answer.trailers = fields
            elif status < 200:
                answer.interim.append(status)
            else:
                answer.fields, answer.status = fields, status
            answer.ended = event.stream_ended

    def until(self, true: Callable[[], object]) -> None:
        """Read until this is so. AssertionError if the proxy closes before."""
        end = time.monotonic() + self.patience
        while not true():
            assert self.closed is None, f"the connection is closed: {self.closed}"
            assert time.monotonic() < end, "it never came true"
            self.read()

    def answer(self, number: int) -> Answer:
        """The answer on this stream, when it is over."""
        self.until(lambda: self.got[number].over)
        return self.got[number]

    def ask(self, fields: Fields, body: bytes = b"") -> Answer:
        return self.answer(self.request(fields, body))

    def ended(self) -> int:
        """Read until the connection is closed; return the error."""
        end = time.monotonic() + TIMEOUT
        while self.closed is None:
            assert time.monotonic() < end, "the proxy did not close"
            self.read()
        return self.closed.error_code

    def __enter__(self) -> Http3Client:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.closed is None:
            self.quic.close()
            self.flush()
        self.sock.close()


def wait_for(true: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)

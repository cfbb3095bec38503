"""A WebSocket to an HTTP/2 backend: one stream of the connection, opened by Extended CONNECT (RFC 8441)."""

from __future__ import annotations

from typing import Protocol

from lbkit.core.attempts import Failure
from lbkit.net.http1.head import without_fields
from lbkit.net.messages import Receiver, RequestHead, ResponseHead
from lbkit.net.streams.tunnel import StreamTransport
from lbkit.net.websocket import KEY, accept_of

_OWN = frozenset((b"content-length", b"sec-websocket-accept"))  # the backend has no say in these


class Stream(Protocol):
    """What a tunnel needs of its stream."""

    @property
    def over(self) -> bool: ...
    @property
    def backlog(self) -> int: ...
    def send_body(self, data: bytes, end: bool) -> None: ...
    def read(self, wanted: bool) -> None: ...
    def close(self) -> None: ...


class Carrier(Protocol):
    """The connection of a stream."""

    @property
    def tunnels(self) -> bool: ...
    def refuses_tunnels(self) -> None: ...


def obstacle(request: RequestHead, carrier: Carrier) -> Failure | None:
    """Return why a WebSocket cannot be asked for, or None.

    HTTP/2 has no key (RFC 8441, 5): the proxy is the one that has to notice if there is none."""
    if not carrier.tunnels:
        carrier.refuses_tunnels()
        return Failure.NO_TUNNEL
    return None if KEY.fullmatch(request.field(b"sec-websocket-key")) else Failure.NO_KEY


def switch_head(request: RequestHead, answer: ResponseHead) -> ResponseHead:
    """Return the answer of HTTP/1.1 that a 2xx of HTTP/2 stands for, with the proof that the key was read."""
    fields = without_fields(answer.data, _OWN).partition(b"\r\n")[2]
    accept = accept_of(request.field(b"sec-websocket-key"))
    line = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: %b\r\n" % accept
    return ResponseHead(101, line + fields, 0)


class ClientTunnel:
    """Makes a stream look like a transport, for the relay that joins it to the client."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.transport = StreamTransport(self)

    def open(self, receiver: Receiver, head: ResponseHead, data: bytes, end: bool) -> None:
        """Hand the stream over, and what has come on it."""
        receiver.switched(head, self.transport, data)
        if end:
            self.data(b"", True)

    # -- called by the stream ---------------------------------------------------------------------

    def data(self, data: bytes, end: bool) -> None:
        self.transport.feed(data, end)
        self._look()

    def origin_ready(self, ready: bool) -> None:
        if not self._stream.over:
            self.transport.ready(ready)
        self._look()

    def lost(self, failure: Failure, kept: bool) -> None:
        self.transport.lost()

    def _never(self, *_: object) -> None:
        raise AssertionError("the answer has come before")

    interim = answer = switched = _never

    # -- called by the transport -----------------------------------------------------------------------

    @property
    def over(self) -> bool:
        return self._stream.over

    @property
    def backlog(self) -> int:
        return self._stream.backlog

    def send(self, data: bytes, end: bool) -> None:
        self._stream.send_body(data, end)
        self._look()

    def read_body(self, wanted: bool) -> None:
        self._stream.read(wanted)

    def finish(self) -> None:
        """Do nothing: a stream ends when both sides have."""

    def abort(self) -> None:
        self._stream.close()

    def _look(self) -> None:
        """Tell the transport if both sides have ended."""
        if self._stream.over:
            self.transport.lost()

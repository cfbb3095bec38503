"""How a stream becomes a request: its fields are read, and the head goes to an exchange."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from lbkit.net.http1 import head as http1
from lbkit.net.http1.listener import Listener
from lbkit.net.messages import CHUNKED, Reject, RequestHead
from lbkit.net.peer import Peer
from lbkit.net.streams.fields import Field
from lbkit.net.streams.requests import Request, read_request
from lbkit.net.streams.stream import Carrier, Stream


class Opener(Carrier, Protocol):
    """A connection on which streams are opened."""

    @property
    def peer(self) -> Peer: ...

    head: type[RequestHead]  # of its requests
    via: bytes  # the field Via

    def add(self, stream: Stream) -> None: ...


def open_stream(carrier: Opener, number: int, fields: Iterable[Field], end: bool) -> Stream | None:
    """Return the stream of a request that has an exchange now; None if it is refused, which is answered.

    `end`: there is no body. Raises Malformed."""
    try:
        request = read_request(fields, end)
    except Reject as reject:
        refuse(carrier, number, end, reject)
        return None
    stream = Stream(carrier, number, request.length, end, request.key)
    carrier.add(stream)
    listener = carrier.listener
    try:
        stream.request = _read_head(carrier, listener, request, end)
    except Reject as reject:
        stream.refuse(reject)
        return None
    stream.exchange = listener.handle(stream.request, stream, listener.now())
    return stream


def refuse(carrier: Opener, number: int, end: bool, reject: Reject) -> None:
    """Answer a request that has no exchange."""
    stream = Stream(carrier, number, None, end)
    carrier.add(stream)
    stream.refuse(reject)


def _read_head(carrier: Opener, listener: Listener, request: Request, end: bool) -> RequestHead:
    """Return the head to send on, by the same rules as for HTTP/1.1. Raises Reject."""
    limits = listener.limits
    if len(request.head) > limits.head:
        raise Reject(431, f"a head may have {limits.head} bytes")
    if limits.body is not None and (request.length or 0) > limits.body:
        raise Reject(413, f"the body is longer than {limits.body} bytes")
    listener.reader.check(request.head)
    head = http1.read_request(
        request.head, carrier.peer, limits.fields, listener.refuse_twins, carrier.head, carrier.via
    )
    if not end and request.length is None and not request.key:
        head.length = CHUNKED
    return head

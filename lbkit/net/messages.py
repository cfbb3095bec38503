"""Requests, answers, and the protocols between the parts that carry them.

An exchange is one request and its answer. Three parties take part in it, and none imports another: a
protocol drives it from below (`Incoming`) and writes its answer (`Client`), the origin side reports what a
backend sends (`Receiver`), filters see it from the side (`ExchangeView`).

A head is kept as an HTTP/1.1 header block in bytes: the start line and the fields, each with its CRLF, but
without the empty line and without hop-by-hop fields. Nearly all traffic arrives and leaves in that form, so
it passes without being parsed into fields; the side that writes a message decides how its body is framed.
"""

from __future__ import annotations

import re
from asyncio import Transport
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from mypy_extensions import mypyc_attr

from lbkit.core import AnyPool, Backend, Lease
from lbkit.core.attempts import Failure
from lbkit.core.routing import Route
from lbkit.net.peer import Peer

# The values of `length` for bodies without a known length.
CHUNKED = -1  # the body ends with the last chunk
UNTIL_CLOSE = -2  # the body ends with the connection


class Reject(Exception):
    """Raised for a message that is not forwarded. The client gets `status` and the reason `why`."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


@mypyc_attr(allow_interpreted_subclasses=True)
class RequestHead:
    """The checked head of a request, as it is sent to a backend."""

    __slots__ = (
        "client",
        "data",
        "http11",
        "length",
        "method",
        "original",
        "peer",
        "target",
        "trailers",
        "upgrade",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        data: bytes,
        peer: Peer,
        client: str,
        http11: bool = True,
        length: int = 0,
        upgrade: bool = False,
    ) -> None:
        self.method = method
        self.target = target
        self.original = target  # as it arrived, for logs; a filter may have rewritten `target`
        self.data = data  # the request line and the fields
        self.peer = peer
        self.client = client  # the client's address, from trusted sources only
        self.http11 = http11  # the client understands chunks and interim answers
        self.length = length  # of the body: bytes, or CHUNKED; 0 if there is none
        self.upgrade = upgrade  # a request to switch to WebSocket
        self.trailers = b""  # fields after the body, each with its CRLF; set before its end is announced

    @property
    def version(self) -> str:
        """The client's version of HTTP."""
        return "1.1" if self.http11 else "1.0"

    @property
    def flow(self) -> str:
        """The connection's addresses, which are all that a balancer on layer 4 knows."""
        return self.peer.flow

    def field(self, name: bytes) -> bytes:
        """Return the first field of this name, or b""."""
        return find_field(self.data, name)

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all fields of this name."""
        return [value.rstrip() for value in _field(name).findall(self.data)]

    def fields(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the fields in their order: names in lower case, and values."""
        for line in self.data.split(b"\r\n")[1:-1]:
            name, _, value = line.partition(b":")
            yield name.lower(), value.strip()


class ResponseHead:
    """The head of an answer to the client. Filters may change `data`."""

    __slots__ = ("data", "dated", "internal", "length", "own", "status", "trailers")

    def __init__(
        self,
        status: int,
        data: bytes,
        length: int,
        own: bool = False,
        internal: bytes = b"",
        dated: bool = False,
    ) -> None:
        self.status = status
        self.data = data  # the status line and the fields
        self.length = length  # of the body that follows: bytes, CHUNKED or UNTIL_CLOSE
        self.own = own  # the proxy's answer, not a backend's
        self.internal = internal  # fields that clients do not see, such as the backend's load
        self.dated = dated  # with a Date of the backend's own
        # Fields after the body, each with its CRLF; set before its end is announced. What writes the answer
        # looks here at the end, so no filter has to pass them on.
        self.trailers = b""

    def field(self, name: bytes) -> bytes:
        """Return the first field of this name, or b""."""
        return find_field(self.data, name)


@lru_cache(maxsize=256)  # names are those that filters ask for
def _field(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"\r\n%b:[ \t]*([^\r\n]*)" % re.escape(name), re.IGNORECASE)


def find_field(head: bytes, name: bytes) -> bytes:
    """Return the value of the first field of this name, or b""."""
    found = _field(name).search(head)
    return found[1].rstrip() if found else b""


# -- protocols -------------------------------------------------------------------------------


class Sink(Protocol):
    """Receives an answer. A wrapper that changes or delays a body is a sink, too."""

    def respond(self, head: ResponseHead, data: bytes, end: bool) -> None:
        """Take the head and the first piece of the body, if any; `end`: the answer is complete."""

    def send(self, data: bytes, end: bool) -> None:
        """Take another piece of the body."""

    def ready(self, ready: bool) -> None:
        """Called when the client can take more or no more. Wrappers pass it on to the exchange."""


class Client(Sink, Protocol):
    """The client's side of an exchange: a connection, an HTTP/2 stream, a test."""

    writable: bool  # the client's write buffer has room

    def interim(self, head: ResponseHead) -> None:
        """Send a 1xx answer, before the final one."""

    def upgrade(self, head: ResponseHead) -> tuple[Transport, bytes]:
        """Send a 101 answer; return the transport, and the bytes that the client has already sent."""

    def say_last(self) -> None:
        """Announce in the answer that the connection closes after it."""

    def abort(self) -> None:
        """Close the connection so that the answer does not look complete."""

    def read_body(self, wanted: bool) -> None:
        """Start or stop reading the request's body: back-pressure."""


class Incoming(Protocol):
    """A request that is being served. The protocol that received it calls these methods."""

    deadline: float  # when `expired` is due

    def begin(self, now: float) -> None:
        """Start to serve it. Called first, unless a part of the body arrived together with the head."""

    def body(self, data: bytes, end: bool) -> None:
        """Take a piece of the request's body; `end`: the last one."""

    def refuse(self, status: int, why: str) -> None:
        """Answer with an error: the rest of the request cannot be read."""

    def delivered(self) -> None:
        """Called when the client's side has the complete answer."""

    def client_ready(self, ready: bool) -> None:
        """Called when the client can take more of the answer, or no more for now."""

    def cut(self, backend: Backend) -> None:
        """End the attempt on a backend that has reached its drain timeout."""

    def client_gone(self) -> None:
        """Called when the client has closed the connection."""

    def expired(self, now: float) -> None: ...


Handler = Callable[[RequestHead, Client, float], Incoming]


class Receiver(Protocol):
    """Receives what arrives on a connection to a backend: an exchange or a probe."""

    def interim(self, head: ResponseHead) -> None:
        """Take a 1xx answer other than 101."""

    def switched(self, head: ResponseHead, transport: Transport, data: bytes) -> None:
        """Take a 101 answer and the connection. `data` arrived after the head."""

    def answer(self, head: ResponseHead, data: bytes, end: bool) -> None:
        """Take the head and the first piece of the body, if any; `end`: the answer is complete."""

    def data(self, data: bytes, end: bool) -> None:
        """Take another piece of the body."""

    def lost(self, failure: Failure, kept: bool) -> None:
        """Called when no complete answer will come. `kept`: the connection had served a request before."""

    def origin_ready(self, ready: bool) -> None:
        """Called when the backend can take more of the request's body, or no more for now."""


class Named(Protocol):
    name: str


class ExchangeView(Protocol):
    """The parts of an exchange that filters may use."""

    request: RequestHead
    sink: Sink  # receives the answer; a filter may wrap it
    client: Client
    state: list[Any]  # the filters' own state of this exchange, one entry per filter, by its index
    status: int  # of the answer; 0 before
    attempts: int  # backends picked
    pool: AnyPool  # where backends are picked; a filter may choose another
    route: Route | None  # the way that the rules of content switching have chosen, if there are any
    token: str  # names the session; empty without one
    began: float  # on the loop's clock, seconds; so are these
    connected: float  # when a new connection to a backend was there; 0.0: a kept one served
    headed: float  # when the head of a backend's answer came; 0.0: none has

    @property
    def lease(self) -> Lease | None: ...
    @property
    def backend(self) -> Backend | None:
        """The backend picked last."""

    def proceed(self, now: float) -> None:
        """Continue with a request that a filter has held."""

    def answer_with(self, answer: Answer) -> None:
        """Answer a request that a filter has held."""

    def failed(self, filter: Named) -> None:
        """Report that a filter raised while it held the request; call it in the exception's handler."""

    def touch(self) -> None:
        """Restart the `read` timeout after progress."""

    def suspend(self) -> None:
        """Stop the `read` timeout while a filter makes the exchange wait; the `total` timeout still runs."""

    def resume(self) -> None:
        """Start the `read` timeout again."""

    def read_origin(self, wanted: bool) -> None:
        """Start or stop reading the backend's answer: back-pressure."""


class Hold:
    """Returned by `on_request` to hold a request; the filter calls `proceed` or `answer_with` later.

    `on_body`: called with the exchange, the body and the time when the body is here: all of it, or as much of
    its beginning as is held (`MAX_HELD` of `forwarding.py`)."""

    __slots__ = ("on_body",)

    def __init__(self, on_body: Callable[[ExchangeView, bytes, float], object] | None = None) -> None:
        self.on_body = on_body


HOLD = Hold()


class Answer(NamedTuple):
    """An answer that is complete: a short one of the proxy's own, or with `head` one from a cache."""

    status: int
    why: str = ""  # for the client, so never text from a backend
    fields: bytes = b""  # more header fields, each with its CRLF
    body: bytes | None = None  # in place of a line with the status and `why`
    content_type: bytes = b"text/plain; charset=utf-8"
    head: ResponseHead | None = None  # the whole head, in place of all this, of an answer from a cache

"""Requests, answers, and the contracts between the parts that carry them.

An exchange is one request and its answer. Three parties take part in it, and none imports another: a
protocol drives it from below (`Incoming`) and writes its answer (`Client`), the origin side reports what a
backend sends (`Receiver`), filters see it from the side (`ExchangeView`).

A head is kept as an HTTP/1.1 header block in bytes: the start line and the fields, each with its CRLF,
without the empty line, without fields that belong to one connection. Nearly all traffic comes and goes like
that, so it passes without being taken apart; how the body is framed is decided by the side that writes it.
"""

from __future__ import annotations

import re
from asyncio import Transport
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from lbkit.core import Backend, Lease
from lbkit.core.attempts import Failure
from lbkit.net.peer import Peer

# Lengths of bodies that have none.
CHUNKED = -1  # it ends with a last chunk
UNTIL_CLOSE = -2  # it ends with the connection


class Reject(Exception):
    """A message that is not forwarded. The client is answered `status`, and told `why`."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class RequestHead:
    """A request's head, checked, as it goes to a backend."""

    __slots__ = (
        "client",
        "data",
        "http11",
        "length",
        "method",
        "peer",
        "target",
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
        self.data = data  # the request line and the fields
        self.peer = peer
        self.client = client  # the client's address, as far as it can be trusted
        self.http11 = http11  # the client knows chunks and interim answers
        self.length = length  # of the body: bytes, or CHUNKED; 0 if there is none
        self.upgrade = upgrade  # asks for a WebSocket

    @property
    def flow(self) -> str:
        """Its connection, as a load balancer on layer 4 would know it."""
        return self.peer.flow

    def field(self, name: bytes) -> bytes:
        """The first field of this name, or b""."""
        return find_field(self.data, name)


class ResponseHead:
    """An answer's head, on its way to the client. Filters may change `data`."""

    __slots__ = ("data", "internal", "length", "own", "status")

    def __init__(
        self, status: int, data: bytes, length: int, own: bool = False, internal: bytes = b""
    ) -> None:
        self.status = status
        self.data = data  # the status line and the fields
        self.length = length  # of the body that follows: bytes, CHUNKED or UNTIL_CLOSE
        self.own = own  # the proxy's answer, not a backend's
        self.internal = internal  # fields that clients do not see, such as the backend's load

    def field(self, name: bytes) -> bytes:
        """The first field of this name, or b""."""
        return find_field(self.data, name)


def find_field(head: bytes, name: bytes) -> bytes:
    """The value of the first field of this name, or b""."""
    found = re.search(rb"\r\n%b:[ \t]*([^\r\n]*)" % re.escape(name), head, re.IGNORECASE)
    return found[1].rstrip() if found else b""


# -- contracts -------------------------------------------------------------------------------


class Sink(Protocol):
    """Takes an answer. What wraps a sink to change or to delay a body is a sink, too."""

    def respond(self, head: ResponseHead, data: bytes, end: bool) -> None:
        """The head, with the first piece of the body if there is one; `end`: nothing follows."""

    def send(self, data: bytes, end: bool) -> None:
        """Another piece of the body."""

    def ready(self, ready: bool) -> None:
        """Whether the client can take more. Only wrappers are told; they pass it on to the exchange."""


class Client(Sink, Protocol):
    """The client's side of an exchange: a connection, an HTTP/2 stream, a test."""

    writable: bool  # the client takes what is written to it

    def interim(self, head: ResponseHead) -> None:
        """A 1xx answer, before the final one."""

    def upgrade(self, head: ResponseHead) -> tuple[Transport, bytes]:
        """A 101 answer. Gives up the transport; with it comes what the client has sent already."""

    def say_last(self) -> None:
        """Tell the client with the answer that its connection closes then."""

    def abort(self) -> None:
        """End it so that the answer does not look whole."""

    def read_body(self, wanted: bool) -> None:
        """Whether more of the request's body can be taken: back-pressure."""


class Incoming(Protocol):
    """A request that is being served, as the protocol that received it sees it."""

    deadline: float  # when `expired` is due

    def begin(self, now: float) -> None:
        """Serve it. Called first, unless some of the body arrived together with the head."""

    def body(self, data: bytes, end: bool) -> None:
        """A piece of the request's body; `end`: the last one."""

    def refuse(self, status: int, why: str) -> None:
        """The rest of the request cannot be read."""

    def delivered(self) -> None:
        """The client's side has the whole answer."""

    def client_ready(self, ready: bool) -> None:
        """The client takes more of the answer, or not now."""

    def cut(self, backend: Backend) -> None:
        """A backend has no more time."""

    def client_gone(self) -> None: ...
    def expired(self, now: float) -> None: ...


Handler = Callable[[RequestHead, Client, float], Incoming]


class Receiver(Protocol):
    """What a connection to a backend reports to: an exchange, a probe."""

    def interim(self, head: ResponseHead) -> None:
        """A 1xx answer other than 101."""

    def switched(self, head: ResponseHead, transport: Transport, data: bytes) -> None:
        """A 101 answer: the connection is the receiver's now. `data` came behind the head."""

    def answer(self, head: ResponseHead, data: bytes, end: bool) -> None:
        """The head, with the first piece of the body if there is one; `end`: nothing follows."""

    def data(self, data: bytes, end: bool) -> None:
        """Another piece of the body."""

    def lost(self, failure: Failure, kept: bool) -> None:
        """No (whole) answer will come. `kept`: the connection had served a request before this one."""

    def origin_ready(self, ready: bool) -> None:
        """The backend takes more of the request's body, or not now."""


class Named(Protocol):
    name: str


class ExchangeView(Protocol):
    """An exchange as filters see it."""

    request: RequestHead
    sink: Sink  # where the answer is written; a filter may wrap it
    client: Client
    state: list[Any]  # what a filter keeps of this exchange: a place each, by its index
    status: int  # of the answer; 0 before
    attempts: int  # backends picked
    token: str  # what stands for the backend of its session; empty without one
    began: float  # on the loop's clock, seconds

    @property
    def lease(self) -> Lease | None: ...
    @property
    def backend(self) -> Backend | None:
        """The backend that was picked last."""

    def proceed(self, now: float) -> None:
        """Go on, after a filter has held the request."""

    def answer_with(self, answer: Answer) -> None:
        """Answer a request that a filter has held."""

    def failed(self, filter: Named) -> None:
        """A filter has raised while it held the request; call within the exception's handler."""

    def touch(self) -> None:
        """There was progress: the `read` timeout starts again."""

    def suspend(self) -> None:
        """The filter makes it wait, so no progress is expected: only the `total` timeout counts."""

    def resume(self) -> None:
        """Progress is expected again."""

    def read_origin(self, wanted: bool) -> None:
        """Whether more of the backend's answer can be taken: back-pressure."""


class Hold:
    """What a filter's `on_request` returns to hold a request: it calls `proceed` or `answer_with` later."""


HOLD = Hold()


class Answer(NamedTuple):
    """A short answer of the proxy's own."""

    status: int
    why: str = ""  # for the client: never a backend's words
    fields: bytes = b""  # more header fields, each with its CRLF
    body: bytes | None = None  # instead of a line with the status and why
    content_type: bytes = b"text/plain; charset=utf-8"

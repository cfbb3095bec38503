"""What the cache knows of one exchange, and the answer that it keeps of it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from lbkit.core.cache import Lookup, Request
from lbkit.net.filters.base import WrappedSink
from lbkit.net.messages import ExchangeView, ResponseHead


class Way(Enum):
    """How a request goes on."""

    PASSES = "passes"  # to a backend, as it is; its answer is not kept
    ASKS = "asks"  # a backend, for the cache, too
    FOLLOWS = "follows"  # waits for the answer of another
    OVER = "over"  # nothing is left to decide


class Visit:
    """The filter's state of one exchange, and its ticket in a flight."""

    __slots__ = (
        "adopted",
        "collapsed",
        "exchange",
        "flight",
        "found",
        "keeping",
        "purges",
        "request",
        "requested",
        "way",
    )

    def __init__(self, exchange: ExchangeView | None, request: Request, found: Lookup[bytes]) -> None:
        self.exchange = exchange  # None once it is over, and for requests of the cache's own
        self.request = request
        self.found = found
        self.way = Way.PASSES
        self.flight: tuple[object, ...] | None = None  # that it leads or follows
        self.collapsed = False  # it has followed another
        self.adopted = False  # its client has left
        self.keeping: Keeping | None = None
        self.requested = 0.0  # when it was sent to a backend, in seconds since 1970
        self.purges = 0  # purges before that


class Keeping(WrappedSink):
    """Keeps an answer's body as it passes; then calls `done` with it, or with None if it became too long."""

    def __init__(
        self,
        exchange: ExchangeView,
        room: Callable[[int], bool],
        done: Callable[[bytes | None], object],
    ) -> None:
        """`room`: called with the bytes that are added (negative: freed); returns whether they may be."""
        super().__init__(exchange)
        self.room = room
        self.done = done
        self.parts: list[bytes] | None = []
        self.size = 0
        self.head: ResponseHead | None = None

    def respond(self, head: ResponseHead, data: bytes, end: bool) -> None:
        self.head = head
        self._take(data, end)
        super().respond(head, data, end)

    def send(self, data: bytes, end: bool) -> None:
        self._take(data, end)
        super().send(data, end)

    def _take(self, data: bytes, end: bool) -> None:
        if self.parts is None:
            return
        self.size += len(data)
        if not self.room(len(data)):
            self.stop()
            self.done(None)
            return
        self.parts.append(data)
        if end:
            body = b"".join(self.parts)
            self.stop()
            # A stored answer could not give the fields after the body.
            self.done(None if self.head and self.head.trailers else body)

    def stop(self) -> None:
        """Keep nothing more."""
        if self.parts is not None:
            self.parts = None
            self.room(-self.size)

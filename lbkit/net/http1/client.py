"""A connection to a backend: writes requests one after another, and reads their answers."""

from __future__ import annotations

import asyncio
from ssl import SSLError
from typing import Protocol

from mypy_extensions import mypyc_attr

from lbkit.core import Backend
from lbkit.core.attempts import Failure
from lbkit.net.http1.body import Chunked, chunk
from lbkit.net.http1.grammar import BARE_LF, HEAD_END
from lbkit.net.http1.head import HeadReader, read_response
from lbkit.net.http1.plans import ResponsePlan
from lbkit.net.messages import CHUNKED, UNTIL_CLOSE, Receiver, Reject, RequestHead, ResponseHead


def connection_fields(request: RequestHead) -> bytes:
    """Return the hop-by-hop fields of a request: the framing of its body, and an upgrade."""
    fields = b"Connection: upgrade\r\nUpgrade: websocket\r\n" if request.upgrade else b""
    return fields + b"Transfer-Encoding: chunked\r\n" if request.length == CHUNKED else fields


class Keeper(Protocol):
    """Keeps idle connections between requests."""

    reader: HeadReader
    max_head: int

    def put_back(self, connection: ClientConnection) -> None:
        """Keep a connection that can serve another request."""

    def forget(self, connection: ClientConnection) -> None:
        """Remove a connection that has closed."""

    def refused(self, backend: Backend, error: SSLError) -> None:
        """Take note of a backend that has refused our certificate, or broken TLS."""


@mypyc_attr(allow_interpreted_subclasses=True)
class ClientConnection:
    """Serves one receiver at a time, from `send` until the answer is complete. It has the methods of an
    asyncio.Protocol, but not the base class, so that it can be compiled."""

    __slots__ = (
        "_answer",
        "_body",
        "_chunked",
        "_chunks",
        "_head_only",
        "_keep",
        "_keeper",
        "_partial",
        "_plan",
        "_remaining",
        "_request",
        "_searched",
        "_sending",
        "_silent",
        "_upgrade",
        "backend",
        "kept",
        "reading",
        "receiver",
        "rested_since",
        "transport",
    )

    may_leave_out = False
    transport: asyncio.Transport
    _request: RequestHead  # the present one, if it is sent in chunks

    def __init__(self, keeper: Keeper, backend: Backend) -> None:
        self._keeper = keeper
        self.backend = backend
        self.receiver: Receiver | None = None
        self.kept = False  # has served a request before
        self.rested_since = 0.0
        # The request.
        self._sending = False  # the body is not yet complete
        self._chunked = False  # the body is sent in chunks
        self._head_only = False
        self._upgrade = False
        # The answer.
        self._silent = True  # no byte of it has arrived
        self._answer: ResponseHead | None = None  # its head, if trailers may follow
        self._partial: bytearray | None = None  # an incomplete head
        self._searched = 0  # the head does not end before this index
        self._plan = ResponsePlan()
        self._body = False  # the head is complete
        self._remaining = 0  # bytes left of the body, or UNTIL_CLOSE
        self._chunks: Chunked | None = None
        self._keep = False
        self.reading = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    # -- the request --------------------------------------------------------------------------

    def send(self, receiver: Receiver, head: RequestHead, body: bytes, end: bool) -> None:
        """Send a request for `receiver`; `end`: `body` is complete."""
        self.receiver = receiver
        self._sending = not end
        self._head_only = head.method == b"HEAD"
        self._upgrade = head.upgrade
        self._silent = True
        self._body = False
        if head.length == 0 and not head.upgrade:
            data = head.data + b"\r\n"
        else:
            self._chunked = head.length == CHUNKED
            if self._chunked:
                self._request = head
                body = chunk(body, end, head.trailers)
            data = b"".join((head.data, connection_fields(head), b"\r\n", body))
        self.backend.traffic += len(data)
        self.transport.write(data)

    def send_body(self, data: bytes, end: bool) -> None:
        self._sending = not end
        if self._chunked:
            data = chunk(data, end, self._request.trailers)
        self.backend.traffic += len(data)
        self.transport.write(data)

    def pause_writing(self) -> None:
        if self.receiver:
            self.receiver.origin_ready(False)

    def resume_writing(self) -> None:
        if self.receiver:
            self.receiver.origin_ready(True)

    # -- the answer ----------------------------------------------------------------------------

    def read(self, wanted: bool) -> None:
        """Start or stop reading the answer: back-pressure."""
        if wanted != self.reading and not self.transport.is_closing():
            self.reading = wanted
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        receiver = self.receiver
        if receiver is None:
            self.close()  # an answer without a request
            return
        self.backend.traffic += len(data)
        self._silent = False
        try:
            if self._body:
                piece, end = self._read_body(data)
                if end:
                    self._finish()
                receiver.data(piece, end)
            else:
                self._read_head(receiver, data)
        except Reject:
            self._fail(receiver, Failure.MALFORMED)

    def _read_head(self, receiver: Receiver, data: bytes) -> None:
        """Read interim heads, and the final one with the data after it."""
        limit = self._keeper.max_head
        if self._partial is not None:
            self._partial += data
            if not self._ends(self._partial):
                return
            data, self._partial = bytes(self._partial), None
        at = 0
        while self.receiver is receiver:
            plan = self._plan
            if not (at or self._head_only) and (known := plan.read(data)):
                answer, end, keep = known, plan.end, plan.keep
                if end > limit:
                    raise Reject(502, "")
                whole = answer.length == len(data) - end
                break
            end = data.find(HEAD_END, at) + 4
            if end < 4 or end - at > limit:
                if end >= 4:
                    raise Reject(502, "")
                self._searched = 0
                if at < len(data):
                    partial = bytearray(memoryview(data)[at:])
                    if not self._ends(partial):
                        self._partial = partial
                return
            head = data[at:end]
            answer = read_response(head, self._head_only)
            whole = answer.length == len(data) - end
            # Given a complete message, the reader is ready for the next one at once.
            keep = self._keeper.reader.check(data[at:] if whole and not self._head_only else head)
            if answer.status >= 200:
                if not self._head_only:
                    plan.learn(head, answer, keep)
                break
            if answer.status == 101:
                if not self._upgrade:
                    raise Reject(502, "")
                self.receiver = None
                self._keeper.forget(self)
                receiver.switched(answer, self.transport, data[end:])
                return
            receiver.interim(answer)
            at = end
        else:
            return
        self._keep = keep
        self._body = True
        if whole:
            self._finish()
            receiver.answer(answer, data[end:], True)
            return
        self._remaining = answer.length
        self._chunks, self._answer = (Chunked(limit), answer) if answer.length == CHUNKED else (None, None)
        piece, done = self._read_body(data[end:]) if end < len(data) else (b"", False)
        if done:
            self._finish()
        receiver.answer(answer, piece, done)

    def _ends(self, partial: bytearray) -> bool:
        """Return whether a head is complete. Raises Reject."""
        if partial.find(HEAD_END, self._searched) >= 0:
            return True
        if len(partial) > self._keeper.max_head or BARE_LF.search(partial, self._searched):
            raise Reject(502, "")
        self._searched = max(0, len(partial) - 3)
        return False

    def _read_body(self, data: bytes) -> tuple[bytes, bool]:
        """Return a piece of the body, and whether it is the last one."""
        if self._chunks:
            piece = self._chunks.feed(data)
            done = self._chunks.done
            if done and self._chunks.trailers:
                assert self._answer
                self._answer.trailers = self._chunks.trailers
            if done and self._chunks.end < len(data):
                self._keep = False  # data without a request: the connection can no longer be trusted
            return piece, done
        if self._remaining == UNTIL_CLOSE:
            self._keep = False
            return data, False
        if len(data) > self._remaining:
            data = data[: self._remaining]
            self._keep = False
        self._remaining -= len(data)
        return data, self._remaining == 0

    # -- endings ---------------------------------------------------------------------------

    def _finish(self) -> None:
        """Keep the connection for another request if possible: the answer is complete."""
        self.receiver = None
        if self._keep and not self._sending and not self.transport.is_closing():
            self.kept = True
            self._keeper.put_back(self)
        else:
            self.close()

    def _fail(self, receiver: Receiver, failure: Failure) -> None:
        kept = self.kept
        self.close()
        receiver.lost(failure, kept)

    def eof_received(self) -> bool:
        receiver = self.receiver
        # A body with neither a length nor chunks ends here. A reset does not end it: it calls
        # connection_lost only.
        if receiver and self._body and self._chunks is None and self._remaining == UNTIL_CLOSE:
            self._finish()
            receiver.data(b"", True)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._keeper.forget(self)
        if isinstance(exc, SSLError):
            self._keeper.refused(self.backend, exc)
        receiver, self.receiver = self.receiver, None
        if receiver:
            receiver.lost(Failure.CLOSED_UNANSWERED if self._silent else Failure.RESET, self.kept)

    def close(self) -> None:
        """Close a connection that is in the middle of an answer, or cannot serve another request."""
        self.receiver = None
        self.transport.abort()

"""The reading half of a client connection: one request after another, however the bytes arrive."""

from __future__ import annotations

import asyncio
from math import inf

from lbkit.net.http1.body import Chunked
from lbkit.net.http1.grammar import BARE_LF, EMPTY_LINES, HEAD_END
from lbkit.net.http1.head import read_request
from lbkit.net.http1.listener import Listener
from lbkit.net.http1.pace import Pace
from lbkit.net.http1.plans import RequestPlan
from lbkit.net.messages import CHUNKED, Incoming, Reject
from lbkit.net.peer import Peer

PREFACE = b"PRI * HTTP/2.0\r\n\r\n"  # begins a connection of HTTP/2, and is no request of HTTP/1.1


class RequestReading:
    """Reads requests and hands each to the listener's handler. The subclass ServerConnection answers them.
    It has the methods of an asyncio.Protocol, but not the base class, so that it can be compiled.

    Requests are served one at a time: until the answer is complete, further input waits in `_unread` and the
    socket is not read. Deadlines are set when a wait begins; arriving bytes do not extend them. All loops are
    linear in the input: an incomplete head stays in one buffer, and is searched and copied once.
    """

    __slots__ = (
        "_at",
        "_body_size",
        "_chunks",
        "_complete",
        "_current",
        "_deadline",
        "_head_began",
        "_http11",
        "_keep_alive",
        "_lingers",
        "_pace",
        "_partial",
        "_plan",
        "_reading",
        "_remaining",
        "_searched",
        "_skipped",
        "_unread",
        "_wanted",
        "before_first_request",
        "closed",
        "listener",
        "peer",
        "transport",
        "writable",
    )

    transport: asyncio.Transport
    peer: Peer

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.closed = False  # no more writes
        self._lingers = False  # an error is written; further input is discarded
        self.before_first_request = True
        self.writable = True
        self._current: Incoming | None = None
        self._deadline = inf  # while waiting for a head or for the close; an exchange has its own
        self._head_began = False
        self._plan = RequestPlan()
        self._partial: bytearray | None = None  # an incomplete head
        self._searched = 0  # the head does not end before this index
        self._skipped = 0  # bytes of empty lines before it
        self._unread = b""  # input after the current request, from index `_at`
        self._at = 0
        self._complete = True  # the current request has been read completely
        self._remaining = 0  # bytes left of its body
        self._body_size = 0
        self._chunks: Chunked | None = None
        self._pace: Pace | None = None  # of the body, where limits.body_rate is set
        self._reading = True
        self._wanted = True  # the exchange can take more of the body
        # How the current request may be answered.
        self._http11 = True
        self._keep_alive = True

    def _refuse(self, reject: Reject) -> None:
        """Answer with an error and close: where the next request begins is unknown."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        if self.closed or self._lingers:
            return
        current = self._current
        if current is None and self.writable:
            if self._partial is None:
                self._read_head(data, 0)
            else:
                self._read_partial(data)
        elif current is None or self._complete:
            self._unread = self._unread[self._at :] + data if self._unread else data
            self._at = 0
            self._pause_or_resume()
        else:
            self._read_body(current, data, 0)
            self._pause_or_resume()

    def _read_partial(self, data: bytes) -> None:
        """Read more of a head, which is searched and copied once in however many pieces it arrives."""
        assert self._partial is not None
        partial = self._partial
        partial += data
        if partial.startswith(b"\r\n"):  # an empty line that arrived in two pieces
            end = 0
        else:
            end = partial.find(HEAD_END, self._searched)
        if end < 0:
            self._wait_for_head(partial)
            return
        self._partial = None
        self._read_head(bytes(partial), 0)

    def _head_begins(self, data: bytes, at: int, end: int) -> None:
        """Wait for the rest of a head, until a deadline that is set once."""
        listener = self.listener
        limit = listener.limits.head
        if self._skipped > limit:
            self._refuse(Reject(400, "empty lines instead of a request"))
            return
        if end - at > limit:
            self._refuse(Reject(431, f"a head may have {limit} bytes"))
            return
        if not self._head_began:
            self._head_began = True
            self._deadline = listener.now() + listener.timeouts.head
        if at < len(data):
            self._searched = 0
            self._wait_for_head(bytearray(memoryview(data)[at:]))

    def _wait_for_head(self, partial: bytearray) -> None:
        limit = self.listener.limits.head
        if len(partial) > limit:
            self._refuse(Reject(431, f"a head may have {limit} bytes"))
        elif BARE_LF.search(partial, self._searched):
            self._refuse(Reject(400, "a line does not end with CRLF"))
        else:
            self._partial = partial
            self._searched = max(0, len(partial) - 3)

    def _read_head(self, data: bytes, at: int) -> None:
        """Read a head that begins at index `at` and usually ends with the data."""
        listener = self.listener
        limit = listener.limits.head
        plan = self._plan
        request = plan.read(data, at, self.peer)
        if request is not None:
            end = plan.end
        else:
            if data.startswith(b"\r\n", at):
                # Empty lines before a request are skipped (RFC 9112, 2.2), up to the size limit of a head.
                start, at = at, EMPTY_LINES.match(data, at).end()  # type: ignore[union-attr]
                self._skipped += at - start
            end = data.find(HEAD_END, at) + 4
        if end < 4 or end - at > limit or self._skipped > limit:
            self._head_begins(data, at, end)
            return
        now = listener.now()
        keep_alive = True
        try:
            if request is None:
                head = data[at:end]
                keep_alive = listener.reader.check(head)
                request = read_request(
                    head,
                    self.peer,
                    listener.limits.fields,
                    listener.refuse_twins,
                    plan=plan if keep_alive else None,
                )
            length = request.length
            if length:
                self._begin_body(length)
        except Reject as reject:
            if listener.preface and data[at:end] == PREFACE and self.before_first_request and not at:
                listener.preface(self, data)
            else:
                self._refuse(reject)
            return
        self.before_first_request = self._head_began = False
        self._skipped = 0
        self._http11 = request.http11
        self._keep_alive = keep_alive
        self._current = current = listener.handle(request, self, now)  # type: ignore[arg-type] # a ServerConnection is one
        if end < len(data):
            if length:
                self._read_body(current, data, end)
            else:
                self._unread, self._at = data, end
            self._pause_or_resume()
        if self._current is current:
            current.begin(now)

    def _begin_body(self, length: int) -> None:
        limit = self.listener.limits.body
        if limit is not None and length > limit:
            raise Reject(413, f"the body is longer than {limit} bytes")
        self._complete = False
        self._body_size = 0
        self._remaining = max(0, length)
        self._chunks = Chunked(self.listener.limits.head) if length == CHUNKED else None
        if rate := self.listener.limits.body_rate:
            self._pace = Pace(rate, self.listener.timeouts.body)

    def _read_body(self, current: Incoming, data: bytes, at: int) -> None:
        """Read a piece of a body, with a length or in chunks."""
        chunks = self._chunks
        if chunks is None:
            end = at + self._remaining
            piece = data[at:end] if at or end < len(data) else data
            self._remaining -= len(piece)
            self._complete = not self._remaining
            at = end
        else:
            try:
                piece = chunks.feed(data, at)
            except Reject as reject:
                current.refuse(reject.status, reject.why)
                return
            self._body_size += len(piece)
            limit = self.listener.limits.body
            if limit is not None and self._body_size > limit:
                current.refuse(413, f"the body is longer than {limit} bytes")
                return
            self._complete = chunks.done
            at = chunks.end
        if self._complete and at < len(data):
            self._unread, self._at = data, at
        if self._pace is not None:
            self._pace.took(len(piece), self.listener.now())
        if piece or self._complete:
            current.body(piece, self._complete)

    def read_body(self, wanted: bool) -> None:
        self._wanted = wanted
        self._pause_or_resume()

    def _pause_or_resume(self) -> None:
        """Read only while there is room for the input: back-pressure towards the client."""
        if self._complete:
            # During a request, reading detects that the client leaves; between two, answers have to be taken.
            wanted = not self._unread and (self._current is not None or self.writable)
        else:
            wanted = self._wanted
        if wanted != self._reading and not self.transport.is_closing():
            self._reading = wanted
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()
                if self._pace is not None:
                    self._pace.pause()

    def _next(self) -> None:
        """Continue with the input after the last request."""
        if self._current is None and self.writable and not self.closed and not self._lingers:
            data, self._unread = self._unread, b""
            self._read_head(data, self._at)
            self._pause_or_resume()

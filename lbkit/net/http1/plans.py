"""Forwarding plans: how the last head on a connection was forwarded, for the next one that is the same.

Clients mostly send the same fields again on a connection, and a busy backend answers with the same head until
its Date changes. Such a head needs neither the parser nor the search for fields: it is compared, byte for
byte, with one that has been checked.

Each connection has one plan, for its last head of up to MAX_HEAD bytes. So memory is bounded, a flood of
different heads costs one copy each, and secrets in a head (Authorization, Cookie) are never used for another
connection, nor kept after their own.
"""

from __future__ import annotations

from lbkit.net.http1.grammar import PLAIN_LINE
from lbkit.net.messages import RequestHead, ResponseHead
from lbkit.net.peer import Peer

MAX_HEAD = 2048  # bytes; most heads are shorter


class RequestPlan:
    """How the fields of a request are forwarded, whatever its method and target; HTTP/1.1 only."""

    __slots__ = ("_client", "_fields", "_forwarded", "_length", "end")

    def __init__(self) -> None:
        self._fields = b""  # as received: from the CRLF of the request line to the end of the head
        self._forwarded = b""  # as sent on
        self._client = ""
        self._length = 0
        self.end = 0  # where the head that was read last ends

    def learn(self, fields: bytes, forwarded: bytes, client: str, length: int) -> None:
        """Keep fields that would be forwarded in the same way with any method and any path."""
        if len(fields) <= MAX_HEAD:
            self._fields, self._forwarded, self._client, self._length = fields, forwarded, client, length

    def read(self, data: bytes, at: int, peer: Peer) -> RequestHead | None:
        """Return the head that begins at index `at`, or None if its fields are not those that were learned.

        `peer`: the connection's, the same at each call."""
        if not self._fields:
            return None
        stop = data.find(b"\r\n", at)
        if not data.startswith(self._fields, stop):
            return None
        line = PLAIN_LINE.fullmatch(data, at, stop)
        if line is None:
            return None
        self.end = stop + len(self._fields)
        method, target = line.groups()
        return RequestHead(
            method, target, data[at:stop] + self._forwarded, peer, self._client, True, self._length
        )


class ResponsePlan:
    """How the answer of a backend is forwarded; for requests other than HEAD."""

    __slots__ = ("_data", "_head", "_internal", "_length", "_status", "end", "keep")

    def __init__(self) -> None:
        self._head = b""  # as received
        self._data = b""  # as sent on
        self._internal = b""
        self._status = self._length = 0
        self.keep = False  # whether the connection may be kept alive
        self.end = 0  # where the head ends

    def learn(self, head: bytes, answer: ResponseHead, keep: bool) -> None:
        """Keep a final answer that has the backend's own Date: the proxy's would soon be wrong."""
        if answer.dated and len(head) <= MAX_HEAD:
            self._head, self.end = head, len(head)
            self._status, self._data, self._length = answer.status, answer.data, answer.length
            self._internal = answer.internal
            self.keep = keep

    def read(self, data: bytes) -> ResponseHead | None:
        """Return the head that `data` begins with, or None if it is not the one that was learned."""
        if not (self._head and data.startswith(self._head)):
            return None
        return ResponseHead(self._status, self._data, self._length, False, self._internal, True)

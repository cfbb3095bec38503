"""Forwarding plans: how the last head on a connection was forwarded, for the next one that is like it.

Clients mostly send the same fields again on a connection, and a busy backend answers with the same head until
its Date changes. Such a head needs neither the parser nor the search for fields: it is compared, byte for
byte, with one that has been checked. Where only values differ, such as a cookie, a date or a length, the
`Form` of an earlier head tells which lines may differ, and only their new values are checked.

Each connection has one plan, for heads of up to MAX_HEAD bytes. So memory is bounded, a flood of different
heads costs one copy each, and secrets in a head (Authorization, Cookie) are never used for another
connection, nor kept after their own.
"""

from __future__ import annotations

from typing import Final

from lbkit.net.http1.grammar import HEAD_END, INTERNAL, LENGTH_VALUE, PLAIN_LINE, VALUE
from lbkit.net.messages import RequestHead, ResponseHead
from lbkit.net.peer import Peer

MAX_HEAD = 2048  # bytes; most heads are shorter
MAX_LINES: Final = 64  # of a form
# A form is made of the second head that is not known, the fourth, the eighth..., counted from the last head
# that had one, and given up after some that do not have it: heads with nothing in common cost little.
FIRST_FORM: Final = 2
CHANCES: Final = 4

# What the line of a field has to be in another head of the same form, and what becomes of it.
DROPPED: Final = 0  # the same, and is not sent on
SAME: Final = 1  # the same
ANY: Final = 2  # a field of this name
LENGTH: Final = 3  # a field of this name: the length of the body
TOLD: Final = 4  # a field of this name, in which a backend tells the proxy something; not sent on


class Form:
    """The names of a head's fields in their order, and how each is forwarded: the same for all values."""

    __slots__ = ("_kinds", "_length", "_lines", "_names", "_tail", "chances", "internal", "length")

    def __init__(self, fields: bytes, forwarded: bytes, length: int) -> None:
        """`fields`: as received, `forwarded`: as sent on, each from the CRLF of its first line.

        What was sent on has the fields in their order, without some of them, then those of the proxy."""
        self._lines = fields[2:-4].split(b"\r\n")
        self._kinds: list[int] = []
        self._names: list[bytes] = []  # with the colon
        sent = 2
        for line in self._lines:
            name = line.partition(b":")[0]
            self._names.append(name + b":")
            name = name.lower()
            if not forwarded.startswith(line + b"\r\n", sent):
                self._kinds.append(TOLD if name in INTERNAL else DROPPED)
                continue
            sent += len(line) + 2
            if name == b"content-length":
                self._kinds.append(LENGTH)
            else:
                self._kinds.append(SAME if name in (b"host", b"expect") else ANY)
        self._tail = forwarded[sent:]
        self._length = length
        self.chances = CHANCES
        # Of the head that was read last.
        self.length = length
        self.internal = b""

    def read(self, first: bytes, data: bytes, start: int, end: int) -> bytes | None:
        """Return the head to send on, which begins with the line `first`; None for fields of another form.

        `data[start:end]`: the fields, without the last CRLF; `end` is -1 where they are incomplete."""
        if end < 0 or end - start > MAX_HEAD:
            return None
        self.chances -= 1
        lines = data[start:end].split(b"\r\n")
        if len(lines) != len(self._lines):
            return None
        length = self._length
        internal = b""
        sent = [first]
        for at, line in enumerate(lines):
            kind = self._kinds[at]
            if line != self._lines[at]:
                name = self._names[at]
                if kind <= SAME or not line.startswith(name):
                    return None
                if kind == LENGTH:
                    found = LENGTH_VALUE.fullmatch(line, len(name))
                    if found is None:
                        return None
                    length = int(found[1])
                elif VALUE.fullmatch(line, len(name)) is None:
                    return None
            if kind == TOLD:
                internal += line + b"\r\n"
            elif kind != DROPPED:
                sent.append(line)
        sent.append(self._tail)
        self.chances = CHANCES
        self.length = length
        self.internal = internal
        return b"\r\n".join(sent)


def form_of(fields: bytes, forwarded: bytes, length: int) -> Form | None:
    """Return the form of these fields, or None if there are too many; see `Form`."""
    return Form(fields, forwarded, length) if fields.count(b"\r\n") < MAX_LINES else None


class RequestPlan:
    """How the fields of a request are forwarded, whatever its method and target; HTTP/1.1 only."""

    __slots__ = (
        "_client",
        "_due",
        "_fields",
        "_form",
        "_form_client",
        "_forwarded",
        "_length",
        "_misses",
        "end",
    )

    def __init__(self) -> None:
        self._fields = b""  # as received: from the CRLF of the request line to the end of the head
        self._forwarded = b""  # as sent on
        self._client = ""
        self._length = 0
        self._form: Form | None = None
        self._form_client = ""
        self._misses = 0  # unknown heads in a row
        self._due = FIRST_FORM  # of them, until a form is made
        self.end = 0  # where the head that was read last ends

    def learn(self, fields: bytes, forwarded: bytes, client: str, length: int) -> None:
        """Keep fields that would be forwarded in the same way with any method and any path."""
        if len(fields) > MAX_HEAD:
            return
        self._fields, self._forwarded, self._client, self._length = fields, forwarded, client, length
        self._misses += 1
        if self._misses == self._due:
            self._due *= 2
            self._form, self._form_client = form_of(fields, forwarded, length), client

    def read(self, data: bytes, at: int, peer: Peer) -> RequestHead | None:
        """Return the head that begins at index `at`, or None if its fields are not like known ones.

        `peer`: the connection's, the same at each call."""
        stop = data.find(b"\r\n", at)
        if self._fields and data.startswith(self._fields, stop):
            line = PLAIN_LINE.fullmatch(data, at, stop)
            if line is None:
                return None
            self.end = stop + len(self._fields)
            method, target = line.groups()
            return RequestHead(
                method, target, data[at:stop] + self._forwarded, peer, self._client, True, self._length
            )
        form = self._form
        if form is None:
            return None
        end = data.find(HEAD_END, stop)
        head = form.read(data[at:stop], data, stop + 2, end)
        if head is None:
            if not form.chances:
                self._form = None
            return None
        line = PLAIN_LINE.fullmatch(data, at, stop)
        if line is None:
            return None
        self._misses, self._due = 1, FIRST_FORM
        self.end = end + 4
        method, target = line.groups()
        return RequestHead(method, target, head, peer, self._form_client, True, form.length)


class ResponsePlan:
    """How the answer of a backend is forwarded; for requests other than HEAD."""

    __slots__ = (
        "_data",
        "_due",
        "_form",
        "_form_keep",
        "_form_line",
        "_form_status",
        "_head",
        "_internal",
        "_keep",
        "_length",
        "_misses",
        "_status",
        "end",
        "keep",
    )

    def __init__(self) -> None:
        self._head = b""  # as received
        self._data = b""  # as sent on
        self._internal = b""
        self._status = self._length = 0
        self._keep = False
        self._form: Form | None = None
        self._form_line = b""  # the status line that goes with it
        self._form_status = 0
        self._form_keep = False
        self._misses = 0  # unknown heads in a row
        self._due = FIRST_FORM  # of them, until a form is made
        # Of the head that was read last.
        self.keep = False  # whether the connection may be kept alive
        self.end = 0  # where it ends

    def learn(self, head: bytes, answer: ResponseHead, keep: bool) -> None:
        """Keep a final answer that has the backend's own Date: the proxy's would soon be wrong."""
        if not answer.dated or len(head) > MAX_HEAD:
            return
        self._head, self._data, self._internal = head, answer.data, answer.internal
        self._status, self._length, self._keep = answer.status, answer.length, keep
        self._misses += 1
        if self._misses == self._due:
            self._due *= 2
            line, sent = head.find(b"\r\n"), answer.data.find(b"\r\n")
            self._form = None
            if answer.status != 304 and head[:line] == answer.data[:sent]:  # a 304 has the length of no body
                self._form = form_of(head[line:], answer.data[sent:], answer.length)
                self._form_line, self._form_status, self._form_keep = head[:line], answer.status, keep

    def read(self, data: bytes) -> ResponseHead | None:
        """Return the head that `data` begins with, or None if it is not like a known one."""
        if self._head and data.startswith(self._head):
            self.end, self.keep = len(self._head), self._keep
            return ResponseHead(self._status, self._data, self._length, False, self._internal, True)
        form = self._form
        if form is None:
            return None
        line = self._form_line
        if not data.startswith(line + b"\r\n"):
            return None
        end = data.find(HEAD_END, len(line))
        head = form.read(line, data, len(line) + 2, end)
        if head is None:
            if not form.chances:
                self._form = None
            return None
        self._misses, self._due = 1, FIRST_FORM
        self.end, self.keep = end + 4, self._form_keep
        return ResponseHead(self._form_status, head, form.length, False, form.internal, True)

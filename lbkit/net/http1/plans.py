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
MAX_LINES: Final = 32  # fields of a form; browsers send up to 20
MAX_NEW: Final = 8  # fields with another value: more are faster to read as an unknown head
# After this many unknown heads in a row a form is made of the last one, then after twice as many, and so on.
# A form that does not fit CHANCES heads in a row is given up. So heads with nothing in common cost little.
FIRST_FORM: Final = 2
CHANCES: Final = 4

# What the line of a field has to be in another head of the same form, and what becomes of it.
DROPPED: Final = 0  # the same, and is not sent on
SAME: Final = 1  # the same
ANY: Final = 2  # a field of this name
LENGTH: Final = 3  # a field of this name: the length of the body
REPORT: Final = 4  # a field of this name, in which a backend tells the proxy something; not sent on


class Form:
    """The names of a head's fields in their order, and how each is forwarded: the same for all values.

    Why that is safe: how a head is understood depends on its names, and on the values of Host, Expect, a
    length, and fields that are never sent on as they came (Connection, Transfer-Encoding, Forwarded...).
    These have to be the same, but for the length, and other values are those that the parser accepts."""

    __slots__ = (
        "_kinds",
        "_length",
        "_lines",
        "_names",
        "_tail",
        "chances",
        "client",
        "internal",
        "keep",
        "length",
        "line",
        "status",
    )

    def __init__(
        self,
        fields: bytes,
        forwarded: bytes,
        length: int,
        client: str = "",
        line: bytes = b"",
        status: int = 0,
        keep: bool = True,
    ) -> None:
        """`fields`: as received, `forwarded`: as sent on, each from the CRLF of its first line.

        What was sent on has the fields in their order, without some of them, then those of the proxy. What
        else holds for all heads of the form: the client of a request; an answer's status line, its status,
        and whether its connection is kept."""
        self._lines = fields[2:-4].split(b"\r\n")
        self._kinds: list[int] = []
        self._names: list[bytes] = []  # with the colon
        sent = 2
        for received in self._lines:
            name = received.partition(b":")[0]
            self._names.append(name + b":")
            name = name.lower()
            if not forwarded.startswith(received + b"\r\n", sent):
                self._kinds.append(REPORT if name in INTERNAL else DROPPED)
                continue
            sent += len(received) + 2
            if name == b"content-length":
                self._kinds.append(LENGTH)
            else:
                self._kinds.append(SAME if name in (b"host", b"expect") else ANY)
        self._tail = forwarded[sent:]
        self._length = length
        self.client, self.line, self.status, self.keep = client, line, status, keep
        self.chances = CHANCES
        # Of the head that was read last.
        self.length = length
        self.internal = b""

    def read(self, first: bytes, data: bytes, start: int, end: int) -> bytes | None:
        """Return the head to send on, which begins with the line `first`; None for fields of another form.

        `data[start:end]`: the fields, without the CRLF of the last; `end` is less than `start` where there
        are none, and -1 where they are incomplete."""
        if not start <= end <= start + MAX_HEAD:
            return None
        self.chances -= 1
        lines = data[start:end].split(b"\r\n")
        if len(lines) != len(self._lines):
            return None
        length = self._length
        internal = b""
        new = 0
        sent = [first]
        for at, line in enumerate(lines):
            kind = self._kinds[at]
            if line != self._lines[at]:
                name = self._names[at]
                new += 1
                if kind <= SAME or new > MAX_NEW or not line.startswith(name):
                    return None
                if kind == LENGTH:
                    found = LENGTH_VALUE.fullmatch(line, len(name))
                    if found is None:
                        return None
                    length = int(found[1])
                elif VALUE.fullmatch(line, len(name)) is None:
                    return None
            if kind == REPORT:
                internal += line + b"\r\n"
            elif kind != DROPPED:
                sent.append(line)
        sent.append(self._tail)
        self.chances = CHANCES
        self.length = length
        self.internal = internal
        return b"\r\n".join(sent)


def may_have_form(fields: bytes) -> bool:
    """Return whether there are fields, from the CRLF of the first line to the head's end; not too many."""
    return 0 < fields.count(b"\r\n") - 2 <= MAX_LINES


class RequestPlan:
    """How the fields of a request are forwarded, whatever its method and target; HTTP/1.1 only."""

    __slots__ = (
        "_client",
        "_due",
        "_fields",
        "_form",
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
            self._form = Form(fields, forwarded, length, client) if may_have_form(fields) else None

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
        line = PLAIN_LINE.fullmatch(data, at, stop)
        if line is None:
            return None
        end = data.find(HEAD_END, stop)
        head = form.read(data[at:stop], data, stop + 2, end)
        if head is None:
            if not form.chances:
                self._form = None
            return None
        self._misses, self._due = 0, FIRST_FORM
        self.end = end + 4
        method, target = line.groups()
        return RequestHead(method, target, head, peer, form.client, True, form.length)


class ResponsePlan:
    """How the answer of a backend is forwarded; for requests other than HEAD."""

    __slots__ = (
        "_data",
        "_due",
        "_form",
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
            # A 304 has the length of no body. Of HTTP/1.0 the status line is another one.
            if answer.status != 304 and head[:line] == answer.data[:sent] and may_have_form(head[line:]):
                self._form = Form(
                    head[line:],
                    answer.data[sent:],
                    answer.length,
                    line=head[:line],
                    status=answer.status,
                    keep=keep,
                )

    def read(self, data: bytes) -> ResponseHead | None:
        """Return the head that `data` begins with, or None if it is not like a known one."""
        if self._head and data.startswith(self._head):
            self.end, self.keep = len(self._head), self._keep
            return ResponseHead(self._status, self._data, self._length, False, self._internal, True)
        form = self._form
        if form is None:
            return None
        line = form.line
        if not data.startswith(line + b"\r\n"):
            return None
        end = data.find(HEAD_END, len(line))
        head = form.read(line, data, len(line) + 2, end)
        if head is None:
            if not form.chances:
                self._form = None
            return None
        self._misses, self._due = 0, FIRST_FORM
        self.end, self.keep = end + 4, form.keep
        return ResponseHead(form.status, head, form.length, False, form.internal, True)

"""Reads what a backend or a client gets, strictly and on its own: no code of the proxy, no library."""

from __future__ import annotations

import re
from dataclasses import dataclass

END = b"\r\n\r\n"


class NotClean(AssertionError):
    """The proxy has written what two readers could read in two ways."""


@dataclass(frozen=True)
class Message:
    head: bytes  # with the empty line at its end
    body: bytes  # as content: chunks are taken off
    chunked: bool = False

    @property
    def first_line(self) -> bytes:
        return self.head.partition(b"\r\n")[0]


def values(head: bytes, name: bytes) -> list[bytes]:
    return [v.strip(b" \t") for v in re.findall(rb"\r\n(?i:%b):([^\r\n]*)" % re.escape(name), head)]


def framing(head: bytes) -> int | None:
    """Length of the body; -1 if it is chunked, None if the head does not say."""
    lengths, codings = values(head, b"Content-Length"), values(head, b"Transfer-Encoding")
    if codings:
        if codings != [b"chunked"] or lengths:
            raise NotClean(f"framing in two ways: {head!r}")
        return -1
    if not lengths:
        return None
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]+", lengths[0]):
        raise NotClean(f"no clean length: {head!r}")
    return int(lengths[0])


def take_chunked(data: bytes) -> tuple[bytes, bytes] | None:
    """Content, and what follows the body; None if its end has not come. No extensions, no trailers:
    the proxy passes none."""
    pieces, at = [], 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            if not re.fullmatch(rb"[0-9a-fA-F]{0,15}\r?", data[at:]):
                raise NotClean(f"no chunk size: {data[at : at + 40]!r}")
            return None
        if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", data[at:end]):
            raise NotClean(f"no chunk size: {data[at:end]!r}")
        size = int(data[at:end], 16)
        at = end + 2
        if len(data) < at + size + 2:
            return None
        if data[at + size : at + size + 2] != b"\r\n":
            raise NotClean("a chunk does not end where its size says")
        if not size:
            return b"".join(pieces), data[at + 2 :]
        pieces.append(data[at : at + size])
        at += size + 2


class Requests:
    """Takes a backend's input apart: `feed` returns the requests that are complete; `rest` waits."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> list[Message]:
        self.rest += data
        found = []
        while (end := self.rest.find(END) + 4) >= 4:
            head, behind = self.rest[:end], self.rest[end:]
            length = framing(head)
            if length == -1:
                taken = take_chunked(behind)
                if taken is None:
                    break
                body, self.rest = taken
            elif len(behind) < (length or 0):
                break
            else:
                body, self.rest = behind[: length or 0], behind[length or 0 :]
            found.append(Message(head, body, length == -1))
        return found


def take_answer(data: bytes, method: bytes, closed: bool) -> tuple[Message, bytes] | None:
    """The first answer in `data` (interim ones count), and what follows; None if it is not complete."""
    end = data.find(END) + 4
    if end < 4:
        return None
    head, behind = data[:end], data[end:]
    if not re.match(rb"HTTP/1\.1 [1-9][0-9]{2} [^\r\n]*\r\n", head):
        raise NotClean(f"no status line: {head[:60]!r}")
    status = int(head[9:12])
    if method == b"HEAD" or status < 200 or status in (204, 304):
        return Message(head, b""), behind
    length = framing(head)
    if length == -1:
        taken = take_chunked(behind)
        return taken and (Message(head, taken[0], True), taken[1])
    if length is None:
        return (Message(head, behind), b"") if closed else None
    return (Message(head, behind[:length]), behind[length:]) if len(behind) >= length else None

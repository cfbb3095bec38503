"""Parts of a stored response (RFC 9110, 14): one range of bytes; other requests get the whole."""

from __future__ import annotations

import re
from typing import NamedTuple

from lbkit.core.cache.entry import B, Stored
from lbkit.core.cache.fields import Request, parse_date

_ONE_RANGE = re.compile(r"bytes=[ \t]*(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))[ \t]*", re.ASCII | re.IGNORECASE)


class Part(NamedTuple):
    """Bytes `first` up to, but without, `end` of a body of `total`. An empty part is a 416."""

    first: int
    end: int
    total: int

    @property
    def status(self) -> int:
        return 206 if self.first < self.end else 416

    @property
    def content_range(self) -> str:
        which = f"{self.first}-{self.end - 1}" if self.first < self.end else "*"
        return f"bytes {which}/{self.total}"


def part(request: Request, stored: Stored[B]) -> Part | None:
    """Return the part of a stored response that a request asks for; None if the whole is the answer.

    A malformed range, several ranges, and an If-Range about another response also get the whole."""
    asked = _ONE_RANGE.fullmatch(request.fields.get("range") or "")
    if asked is None or request.method != "GET" or stored.response.status != 200:
        return None
    if not _is_of(request.fields.get("if-range"), stored):
        return None
    total = len(stored.body)
    first, last, suffix = asked.groups()
    if suffix is not None:  # the last so many bytes
        return Part(max(0, total - int(suffix)), total, total)
    if last is not None and int(last) < int(first):
        return None  # no range at all
    if int(first) >= total:
        return Part(total, total, total)
    return Part(int(first), total if last is None else min(int(last) + 1, total), total)


def _is_of(condition: str | None, stored: Stored[B]) -> bool:
    """Return whether If-Range names this very response: by a strong tag, or by a date that is as good."""
    if condition is None:
        return True
    fields = stored.response.fields
    if condition.startswith('"'):
        return condition == fields.get("etag")
    modified = fields.get("last-modified")
    at = parse_date(modified)
    # Within a second of its change, it may have changed once more (RFC 9110, 8.8.2.2).
    return at is not None and condition == modified and at < stored.date

"""Rows for what lasts: two in one row are never there at once."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush


def rows_of(spans: Sequence[tuple[float, float]]) -> list[int]:
    """Return a row for each span (from, to), the first that is free. Spans are in order of their starts."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    rows = 0
    found = []
    for start, end in spans:
        while busy and busy[0][0] < start:
            heappush(free, heappop(busy)[1])
        if free:
            row = heappop(free)
        else:
            row, rows = rows, rows + 1
        heappush(busy, (end, row))
        found.append(row)
    return found

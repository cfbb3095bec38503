"""The latencies of good answers, in one pass through the columns of a Result."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mypy_extensions import i32, i64

from lbkit.core.vectors import COMPILED, column_of, vec, wholes_of

TOO_MANY: Final = 429  # denied by a rate limit, which is not a good answer


def good_latencies(
    arrival: Iterable[float], end: Iterable[float], status: Iterable[int], since: float
) -> list[float]:
    """Return the latencies of the good answers to requests that arrived at `since` or later."""
    if COMPILED:
        return _of_columns(column_of(arrival), column_of(end), wholes_of(status), since)
    rows = zip(arrival, end, status, strict=True)
    return [e - a for a, e, s in rows if a >= since and 0 < s < 500 and s != TOO_MANY]


def _of_columns(arrival: vec[float], end: vec[float], status: vec[i32], since: float) -> list[float]:
    """The same without an object for each number of a row."""
    good = []
    for row in range(i64(len(status))):
        answer = status[row]
        if 0 < answer < 500 and answer != TOO_MANY and arrival[row] >= since:
            good.append(end[row] - arrival[row])
    return good

"""The latencies of good answers, in one pass through the columns of a Result."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

TOO_MANY: Final = 429  # denied by a rate limit, which is not a good answer


def good_latencies(
    arrival: Iterable[float], end: Iterable[float], status: Iterable[int], since: float
) -> list[float]:
    """Return the latencies of the good answers to requests that arrived at `since` or later."""
    rows = zip(arrival, end, status)  # noqa: B905  # strict=True would be slower when compiled
    return [e - a for a, e, s in rows if a >= since and 0 < s < 500 and s != TOO_MANY]

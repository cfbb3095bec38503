"""Statistics of plain numbers: percentiles, fairness, and the mean level of a queue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import floor

PERCENTILES = (50, 90, 95, 99, 99.9)  # those that figures and tables show


def percentile(ordered: Sequence[float], q: float) -> float:
    """Return the q-th percentile of ascending values, linear between closest ranks; nan without any."""
    if not 0 <= q <= 100:
        raise ValueError(f"q is {q}: percentiles go from 0 to 100")
    if not ordered:
        return float("nan")
    rank = (len(ordered) - 1) * q / 100
    low = floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def jain(loads: Sequence[float]) -> float:
    """Return Jain's fairness index, (sum x)^2 / (n sum x^2); 1.0 without any load."""
    squares = sum(x * x for x in loads)
    return sum(loads) ** 2 / (len(loads) * squares) if squares else 1.0


def mean_level(arrivals: Iterable[float], ends: Iterable[float]) -> float:
    """Return the time average of the requests in the system, from 0 to the last end; nan without any.

    Counted from arrivals and ends as events: the L of Little's law."""
    begin, end = sorted(arrivals), sorted(ends)
    area = 0.0
    before = 0.0
    level = i = j = 0
    while j < len(end):
        arrives = i < len(begin) and begin[i] <= end[j]
        now = begin[i] if arrives else end[j]
        area += level * (now - before)
        before = now
        if arrives:
            level, i = level + 1, i + 1
        else:
            level, j = level - 1, j + 1
    return area / end[-1] if end else float("nan")

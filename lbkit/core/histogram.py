"""Histograms of durations in whole numbers: quantiles within 3 %, however many samples.

A histogram is a dict from the number of a bucket to a count, so histograms of several processes add up, and
the difference of two is the histogram of what came between. Each doubling of the duration has 16 buckets
(HdrHistogram counts in the same way), so there are at most `BUCKETS` from a microsecond to 18 hours.

The number of a bucket is the first 16 bits of the duration as a double (IEEE 754): no sign, the exponent,
and 4 bits of the fraction. So many samples are counted without arithmetic on each.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from math import ceil
from struct import pack, unpack
from typing import Any

Counts = Mapping[int, int]

SHORTEST, LONGEST = 2.0**-20, 2.0**16  # seconds
MICROSECONDS = 1e6
FULL = 64  # samples that wait to be counted together
_FIRST_BITS = slice(0 if sys.byteorder == "big" else 3, None, 4)  # one of the four pieces of each double


def bucket(seconds: float) -> int:
    """Return the number of the bucket of a duration."""
    return _buckets(array("d", [seconds]))[0]


def _buckets(durations: array[float]) -> memoryview:
    if min(durations) < SHORTEST or max(durations) > LONGEST:
        durations = array("d", (min(max(seconds, SHORTEST), LONGEST) for seconds in durations))
    return memoryview(durations).cast("B").cast("H")[_FIRST_BITS]


BUCKETS = bucket(LONGEST) - bucket(SHORTEST) + 1


class Histogram:
    """Durations, counted; their sum is in whole microseconds, so that sums of processes add up exactly."""

    __slots__ = ("_counts", "_micros", "_waiting")

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._micros = 0
        self._waiting: list[float] = []

    def add(self, seconds: float) -> None:
        """Add a duration. A proxy does this twice for every request, so it only writes it down."""
        self._waiting.append(seconds)
        if len(self._waiting) == FULL:
            self._count()

    @property
    def counts(self) -> dict[int, int]:
        self._count()
        return dict(self._counts)

    @property
    def micros(self) -> int:
        self._count()
        return self._micros

    def to_dict(self) -> dict[str, Any]:
        return {"counts": self.counts, "micros": self.micros}

    def _count(self) -> None:
        if self._waiting:
            durations = array("d", self._waiting)
            self._waiting = []
            self._counts.update(_buckets(durations))
            self._micros += round(sum(durations) * MICROSECONDS)


def middle(number: int) -> float:
    """Return the duration in the middle of a bucket, in seconds."""
    return (_edge(number) + _edge(number + 1)) / 2


def _edge(number: int) -> float:
    (seconds,) = unpack(">d", pack(">H6x", number))
    return float(seconds)


def quantile(counts: Counts, share: float) -> float | None:
    """Return the duration that a `share` of the samples does not exceed, in seconds; None without samples."""
    rank = max(1, ceil(share * sum(counts.values())))
    for number in sorted(counts):
        rank -= counts[number]
        if rank <= 0:
            return middle(number)
    return None


def cumulative(counts: Counts, bounds: Sequence[float]) -> list[int]:
    """Return how many samples are at or below each of the growing bounds, in seconds, within 3 %."""
    found = []
    total = 0
    numbers = sorted(counts)
    at = 0
    for bound in bounds:
        while at < len(numbers) and middle(numbers[at]) <= bound:
            total += counts[numbers[at]]
            at += 1
        found.append(total)
    return found


def between(before: Counts, after: Counts) -> dict[int, int]:
    """Return what was added from one moment to another; counts that have shrunk began anew."""
    grown = {number: count - before.get(number, 0) for number, count in after.items()}
    return {number: count for number, count in grown.items() if count > 0}

"""Histograms of durations in whole numbers: quantiles within 3 %, however many samples.

A histogram is a dict from the number of a bucket to a count, so histograms of several processes add up, and
the difference of two is the histogram of what came between. Each doubling of the duration has 16 buckets
(HdrHistogram counts in the same way), so there are at most `BUCKETS` from a microsecond to 19 hours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

Counts = Mapping[int, int]

_BITS = 4  # 2 ** _BITS buckets for each doubling
_EXACT = 2 << _BITS  # below it each microsecond has a bucket
_LONGEST = (1 << 36) - 1  # microseconds
MICROSECONDS = 1e6


def bucket(seconds: float) -> int:
    """Return the number of the bucket of a duration."""
    micros = int(seconds * MICROSECONDS)  # no min and max here: this is done for every request
    if micros < _EXACT:
        return micros if micros > 0 else 0
    if micros > _LONGEST:
        micros = _LONGEST
    shift = micros.bit_length() - _BITS - 1
    return (shift << _BITS) + (micros >> shift)


BUCKETS = bucket(_LONGEST / MICROSECONDS) + 1


class Histogram:
    """Durations, counted; their sum is in whole microseconds, so that sums of processes add up exactly."""

    __slots__ = ("counts", "micros")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.micros = 0

    def add(self, seconds: float) -> None:
        number = bucket(seconds)
        self.counts[number] = self.counts.get(number, 0) + 1
        self.micros += int(seconds * MICROSECONDS)

    def to_dict(self) -> dict[str, Any]:
        return {"counts": self.counts, "micros": self.micros}


def middle(number: int) -> float:
    """Return the duration in the middle of a bucket, in seconds."""
    shift = max(0, (number >> _BITS) - 1)
    low = (number - (shift << _BITS)) << shift
    return (low + (1 << shift) / 2) / MICROSECONDS


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

"""What a Prometheus has after some scrapes: series of values at common times, each with its labels.

A month of scrapes is long, so whole numbers, which most values are, take as few bytes as their largest needs.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import cast

Labels = tuple[tuple[str, str], ...]  # sorted by name
Wanted = Mapping[str, str | Sequence[str]]  # a label's value, or several that will do
Scrape = Mapping[str, Mapping[Labels, float]]  # name -> labels -> value: all series at one moment

WHOLE = {code: 256 ** array(code).itemsize - 1 for code in "BHI"}  # type code -> the largest number

LOOKBACK = 300.0  # seconds that a value stands for, if there is none after it (Prometheus' default)


def labels(**values: str) -> Labels:
    return tuple(sorted(values.items()))


Accepted = tuple[tuple[str, tuple[str, ...]], ...]


def compact(values: Sequence[float]) -> array[float]:
    """Return values in an array of as few bytes as they take without loss; for reading, whole numbers are as
    good as floats."""
    kept = array("d", values)
    if kept and min(kept) >= 0 and all(map(float.is_integer, kept)):  # neither inf nor nan is one
        for code, largest in WHOLE.items():
            if max(kept) <= largest:
                return cast("array[float]", array(code, map(int, kept)))
    return kept


def without_restarts(values: array[float]) -> array[float]:
    if all(later >= before for before, later in pairwise(values)):
        return values
    steps = (b - a if b >= a else b for a, b in pairwise(values))
    return compact(array("d", accumulate(steps, initial=values[0])))


def _fits(known: Mapping[str, str], accepted: Accepted) -> bool:
    return all(known.get(label, "") in fitting for label, fitting in accepted)


class Store:
    """Series by name and labels. All have one value for each scrape, in the order of `times`."""

    def __init__(self, times: Sequence[float]) -> None:
        """`times`: of the scrapes, in seconds, growing. Raises ValueError for others."""
        if any(later <= before for before, later in pairwise(times)):
            raise ValueError("times have to grow: a scrape comes after the one before")
        self.times = array("d", times)
        self._series: dict[str, dict[Labels, array[float]]] = {}
        self._selected: dict[tuple[str, Accepted], list[tuple[Labels, array[float]]]] = {}
        self._grown: dict[tuple[str, Labels], array[float]] = {}

    def add(self, name: str, of: Labels, values: Sequence[float]) -> None:
        """Add a series. Raises ValueError unless it has a value for each scrape."""
        if len(values) != len(self.times):
            raise ValueError(
                f"values are {len(values)}: {name} needs one for each of {len(self.times)} scrapes"
            )
        self._series.setdefault(name, {})[of] = compact(values)
        self._selected.clear()
        self._grown.pop((name, of), None)

    @property
    def nbytes(self) -> int:
        """The memory of all values, in bytes."""
        several = [self.times, *(values for _, _, values in self)]
        return sum(len(values) * values.itemsize for values in several)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._series)

    def select(self, name: str, wanted: Wanted) -> Iterator[tuple[Labels, array[float]]]:
        """Yield the series of a name whose labels fit. Raises KeyError for a name that is not there."""
        if name not in self._series:
            raise KeyError(f"no metric {name!r}: there are {', '.join(sorted(self._series))}")
        accepted = tuple(
            (label, (value,) if isinstance(value, str) else tuple(value)) for label, value in wanted.items()
        )
        found = self._selected.get((name, accepted))
        if found is None:  # rules ask the same at every scrape
            found = [(of, values) for of, values in self._series[name].items() if _fits(dict(of), accepted)]
            self._selected[name, accepted] = found
        yield from found

    def __iter__(self) -> Iterator[tuple[str, Labels, array[float]]]:
        for name, several in self._series.items():
            for of, values in several.items():
                yield name, of, values

    def grown(self, name: str, of: Labels) -> array[float]:
        """Return a counter as if it had never begun anew at 0, as it does when its process restarts and it
        shrinks: what it grew between two scrapes is the difference."""
        known = self._grown.get((name, of))
        if known is None:
            known = self._grown[name, of] = without_restarts(self._series[name][of])
        return known

    def last(self, at: float) -> int | None:
        """Return the number of the last scrape at or before `at`; None if there is none, or an old one."""
        number = bisect_right(self.times, at) - 1
        return number if number >= 0 and self.times[number] > at - LOOKBACK else None

    def within(self, at: float, window: float) -> range:
        """Return the numbers of the scrapes in the `window` seconds that end at `at`, both ends included, as
        Prometheus 2 has it. (3 leaves out the first; it matters only to scrapes at that very moment.)"""
        first = bisect_right(self.times, at - window)
        if first and self.times[first - 1] == at - window:
            first -= 1
        return range(first, bisect_right(self.times, at))

"""What a Prometheus has after some scrapes: series of values at common times, each with its labels."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise

Labels = tuple[tuple[str, str], ...]  # sorted by name
Wanted = Mapping[str, str | Sequence[str]]  # a label's value, or several that will do
Scrape = Mapping[str, Mapping[Labels, float]]  # name -> labels -> value: all series at one moment

LOOKBACK = 300.0  # seconds that a value stands for, if there is none after it (Prometheus' default)


def labels(**values: str) -> Labels:
    return tuple(sorted(values.items()))


class Store:
    """Series by name and labels. All have one value for each scrape, in the order of `times`."""

    def __init__(self, times: Sequence[float]) -> None:
        """`times`: of the scrapes, in seconds, growing. Raises ValueError for others."""
        if any(later <= before for before, later in pairwise(times)):
            raise ValueError("times have to grow: a scrape comes after the one before")
        self.times = array("d", times)
        self._series: dict[str, dict[Labels, array[float]]] = {}
        self._grown: dict[tuple[str, Labels], array[float]] = {}

    def add(self, name: str, of: Labels, values: Sequence[float]) -> None:
        """Add a series. Raises ValueError unless it has a value for each scrape."""
        if len(values) != len(self.times):
            raise ValueError(
                f"values are {len(values)}: {name} needs one for each of {len(self.times)} scrapes"
            )
        self._series.setdefault(name, {})[of] = array("d", values)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._series)

    def select(self, name: str, wanted: Wanted) -> Iterator[tuple[Labels, array[float]]]:
        """Yield the series of a name whose labels fit. Raises KeyError for a name that is not there."""
        if name not in self._series:
            raise KeyError(f"no metric {name!r}: there are {', '.join(sorted(self._series))}")
        accepted = {
            label: (value,) if isinstance(value, str) else tuple(value) for label, value in wanted.items()
        }
        for of, values in self._series[name].items():
            known = dict(of)
            if all(known.get(label, "") in fitting for label, fitting in accepted.items()):
                yield of, values

    def __iter__(self) -> Iterator[tuple[str, Labels, array[float]]]:
        for name, several in self._series.items():
            for of, values in several.items():
                yield name, of, values

    def grown(self, name: str, of: Labels) -> array[float]:
        """Return how much a counter has grown since the first scrape, at each: it never shrinks. One that has
        shrunk began anew at 0, as its process did."""
        known = self._grown.get((name, of))
        if known is None:
            steps = (b - a if b >= a else b for a, b in pairwise(self._series[name][of]))
            known = self._grown[name, of] = array("d", accumulate(steps, initial=0.0))
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

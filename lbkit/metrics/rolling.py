"""A store of the last scrapes only: what a dashboard keeps while the run goes on."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from math import nan

from lbkit.core.options import number
from lbkit.metrics.names import is_counter
from lbkit.metrics.store import Labels, Scrape, Store

SLACK = 1.25  # scrapes are dropped a quarter of what is kept at a time: each drop moves all of them


class Rolling(Store):
    """Series that grow by one value with each scrape, and forget what is older than `keep` seconds.

    Counters are known by their names: `_total`, and the series of histograms. One that comes later began at
    0, and one that is missing in a scrape has not grown. A gauge that is missing has no value: nan.
    Raises ValueError unless `keep` is above 0."""

    def __init__(self, keep: float) -> None:
        number(0, above=True, keep=keep)
        super().__init__([])
        self.keep = keep

    def scrape(self, at: float, values: Scrape) -> None:
        """Add the values of all series at a moment. Raises ValueError for a moment that is not later than
        the last."""
        if self.times and at <= self.times[-1]:
            raise ValueError(f"at is {at:g}: scrapes come in order, and the last was at {self.times[-1]:g}")
        for name, several in values.items():
            known = self._series.setdefault(name, {})
            for of in several:
                if of not in known:
                    self._begin(name, of)
        self.times.append(at)
        for name, known in self._series.items():
            found = values.get(name, {})
            counts = is_counter(name)
            for of, series in known.items():
                value = found.get(of, series[-1] if counts and series else nan)
                if counts:
                    self._grow(name, of, value)
                series.append(value)
        if self.times[0] < at - SLACK * self.keep:
            self._forget(at - self.keep)

    def _begin(self, name: str, of: Labels) -> None:
        self._selected.clear()
        before = len(self.times)
        filler = 0.0 if is_counter(name) else nan
        self._series[name][of] = array("d", [filler]) * before
        if is_counter(name):
            self._grown[name, of] = array("d", [0.0]) * before

    def _grow(self, name: str, of: Labels, value: float) -> None:
        grown, series = self._grown[name, of], self._series[name][of]
        before = series[-1] if series else value
        step = value - before if value >= before else value  # smaller: its process has begun anew
        grown.append((grown[-1] if grown else 0.0) + step)

    def _forget(self, before: float) -> None:
        old = bisect_left(self.times, before)
        del self.times[:old]
        for _, _, series in self:
            del series[:old]
        for grown in self._grown.values():
            del grown[:old]

"""Questions to a store, each with its text in PromQL: what they answer is what Prometheus answers.

`Rate` sees only the scrapes within its window and stretches what lies between them to the whole of it, as
Prometheus does (`extrapolatedRate` in promql/functions.go), so both give the same number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, nan
from typing import Protocol

from lbkit.core.options import number
from lbkit.metrics.store import Labels, Store, Wanted

Values = dict[Labels, float]


class Query(Protocol):
    """`at`: the values at a time, by labels. `promql`: the same question as text. `series`: the names of the
    series that it asks for, those of a histogram with `_bucket`, `_sum` or `_count`."""

    @property
    def series(self) -> tuple[str, ...]: ...

    def at(self, store: Store, at: float) -> Values: ...

    def promql(self) -> str: ...


@dataclass(frozen=True)
class Value:
    """The last value of each series of a metric whose labels fit."""

    name: str
    of: Wanted = field(default_factory=dict)

    @property
    def series(self) -> tuple[str, ...]:
        return (self.name,)

    def at(self, store: Store, at: float) -> Values:
        last = store.last(at)
        return {} if last is None else {of: v[last] for of, v in store.select(self.name, self.of)}

    def promql(self) -> str:
        return f"{self.name}{selector(self.of)}"


@dataclass(frozen=True)
class Rate:
    """How much a counter grew each second, over the `window` seconds before; no value with fewer than two
    scrapes in it. Raises ValueError for a window that is not above 0."""

    name: str
    window: float
    of: Wanted = field(default_factory=dict)

    def __post_init__(self) -> None:
        number(0, above=True, window=self.window)

    @property
    def series(self) -> tuple[str, ...]:
        return (self.name,)

    def at(self, store: Store, at: float) -> Values:
        scrapes = store.within(at, self.window)
        if len(scrapes) < 2:
            return {}
        first, last = scrapes[0], scrapes[-1]
        seen = store.times[first], store.times[last]
        rates = {}
        for of, values in store.select(self.name, self.of):
            grown = store.grown(self.name, of)
            growth = grown[last] - grown[first]
            if not growth:  # most series of most moments
                rates[of] = 0.0
                continue
            rates[of] = growth * stretched(seen, len(scrapes), at - self.window, at, values[first], growth)
        return rates

    def promql(self) -> str:
        return f"rate({self.name}{selector(self.of)}[{lasting(self.window)}])"


@dataclass(frozen=True)
class Sum:
    """The sum of a query's values: one for all, or one for each value of the labels `by`."""

    query: Query
    by: tuple[str, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        return self.query.series

    def at(self, store: Store, at: float) -> Values:
        return summed(self.query.at(store, at), self.by)

    def promql(self) -> str:
        by = f" by ({', '.join(self.by)}) " if self.by else ""
        return f"sum{by}({self.query.promql()})"


@dataclass(frozen=True)
class Ratio:
    """One query over another, where both have a value with the same labels; nan for 0 of 0."""

    part: Query
    whole: Query

    @property
    def series(self) -> tuple[str, ...]:
        return (*self.part.series, *self.whole.series)

    def at(self, store: Store, at: float) -> Values:
        wholes = self.whole.at(store, at)
        parts = self.part.at(store, at)
        return {of: quotient(part, wholes[of]) for of, part in parts.items() if of in wholes}

    def promql(self) -> str:
        return f"{self.part.promql()} / {self.whole.promql()}"


@dataclass(frozen=True)
class Quantile:
    """A quantile of a histogram over the `window` seconds before: a straight line within its bucket; the last
    bound but infinity for what lies above it. nan without any sample.

    Raises ValueError for a share outside 0..1 or a window that is not above 0."""

    share: float
    name: str
    window: float
    by: tuple[str, ...] = ()
    of: Wanted = field(default_factory=dict)

    def __post_init__(self) -> None:
        number(0, 1, share=self.share)
        number(0, above=True, window=self.window)

    @property
    def _buckets(self) -> Sum:
        return Sum(Rate(f"{self.name}_bucket", self.window, self.of), (*self.by, "le"))

    @property
    def series(self) -> tuple[str, ...]:
        return self._buckets.series

    def at(self, store: Store, at: float) -> Values:
        histograms: dict[Labels, dict[float, float]] = {}
        for of, value in self._buckets.at(store, at).items():
            kept = dict(of)
            bound = float(kept.pop("le"))
            histograms.setdefault(tuple(kept.items()), {})[bound] = value
        return {of: quantile(self.share, cumulative) for of, cumulative in histograms.items()}

    def promql(self) -> str:
        return f"histogram_quantile({self.share:g}, {self._buckets.promql()})"


# -- the arithmetic ----------------------------------------------------------------------------------------

NEAR = 1.1  # scrape intervals: the first and last scrape are as near to the window's edges as can be


def stretched(
    seen: tuple[float, float], scrapes: int, start: float, end: float, value: float, growth: float
) -> float:
    """Return what to multiply a counter's growth with, which is seen between the first and the last of some
    scrapes, to get its growth a second from `start` to `end`. `value`: at the first scrape."""
    first, last = seen
    span = last - first
    usual = span / (scrapes - 1)
    before, after = first - start, end - last
    if before >= NEAR * usual:
        before = usual / 2
    if growth > 0 and value >= 0:
        before = min(before, span * value / growth)  # not to before it was 0
    if after >= NEAR * usual:
        after = usual / 2
    return (span + before + after) / span / (end - start)


def quantile(share: float, cumulative: Mapping[float, float]) -> float:
    """Return a quantile, given how many samples are at or below each bound; one bound is infinite."""
    bounds = sorted(cumulative)
    total = cumulative[bounds[-1]]
    if total == 0 or len(bounds) < 2:
        return nan
    rank = share * total
    i = next(i for i, bound in enumerate(bounds) if cumulative[bound] >= rank)
    if bounds[i] == inf:
        return bounds[-2]
    low, below = (bounds[i - 1], cumulative[bounds[i - 1]]) if i else (0.0, 0.0)
    inside = cumulative[bounds[i]] - below
    return low + (bounds[i] - low) * ((rank - below) / inside if inside else nan)


def quotient(part: float, whole: float) -> float:
    if whole:
        return part / whole
    return inf if part > 0 else nan


def summed(values: Values, by: tuple[str, ...]) -> Values:
    sums: Values = {}
    for of, value in values.items():
        kept = tuple(pair for pair in of if pair[0] in by)
        sums[kept] = sums.get(kept, 0.0) + value
    return sums


# -- PromQL ------------------------------------------------------------------------------------------------


def selector(of: Wanted) -> str:
    """Return the labels of a selector: {code=~"5xx|none"}; nothing without any."""
    said = [
        f"{label}={json.dumps(value)}"
        if isinstance(value, str)
        else f"{label}=~{json.dumps('|'.join(map(re.escape, value)))}"
        for label, value in of.items()
    ]
    return f"{{{', '.join(said)}}}" if said else ""


def lasting(seconds: float) -> str:
    """Return a duration as Prometheus writes it: 5m, 90s, 250ms."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:.0f}s" if seconds % 1 == 0 else f"{round(seconds * 1000)}ms"

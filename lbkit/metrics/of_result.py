"""The metrics of a run, of any engine, as a Prometheus would have scraped them while it ran."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import ceil, inf, isnan
from operator import add

from lbkit.core.options import number
from lbkit.core.state_change import OUT
from lbkit.metrics.names import (
    BOUNDS,
    CLASSES,
    DURATION,
    IN_FLIGHT,
    NO_BACKEND,
    REQUESTS,
    RETRIES,
    SERVICE,
    UP,
    WAITING,
    WORKERS,
    Metric,
    code_class,
)
from lbkit.metrics.store import Labels, Store, labels
from lbkit.result import Result, good


def metrics_of(result: Result, every: float = 5.0) -> Store:
    """Return the metrics of a run, scraped each `every` seconds from its start to its end.

    Gauges have the value of the moment of a scrape, as they always have: what comes and goes between two
    scrapes is not in them. Raises ValueError for an interval that is not above 0."""
    number(0, above=True, every=every)
    over = max(result.experiment.traffic.duration, max(result.end, default=0.0))
    scrapes = Scrapes(every, ceil(over / every - 1e-9) + 1)
    store = Store([i * every for i in range(scrapes.count)])
    for name, rows in _rows_by_backend(result).items():
        of = labels(backend=name)
        _count(store, scrapes, result, name, rows)
        store.add(
            RETRIES.name,
            of,
            scrapes.counter((result.end[row], max(0, result.attempts[row] - 1)) for row in rows),
        )
        good_ones = [row for row in rows if good(result.status[row])]
        latencies = ((result.end[row], result.latency[row]) for row in good_ones)
        _histogram(store, scrapes, DURATION, of, latencies)
        served = [row for row in rows if not isnan(result.start[row])]
        _histogram(store, scrapes, WAITING, of, ((result.end[row], result.waiting[row]) for row in served))
        _histogram(store, scrapes, SERVICE, of, ((result.end[row], result.service[row]) for row in served))
        flights = ((result.arrival[row], result.end[row]) for row in rows)
        store.add(IN_FLIGHT.name, of, scrapes.gauge(flights))
    _servers(store, scrapes, result)
    return store


class Scrapes:
    """Scrapes at equal distances, the first at 0."""

    def __init__(self, every: float, count: int) -> None:
        self.every = every
        self.count = count

    def next(self, at: float) -> int:
        """Return the number of the first scrape that sees what happened at `at`; `count` if none does."""
        number = at / self.every - 1e-9  # not one scrape later for a rounding error
        return self.count if number >= self.count else max(0, ceil(number))

    def steps(self) -> array[float]:
        """Return what a counter has grown until each scrape, and after the last: nothing yet."""
        return array("d", bytes(8 * (self.count + 1)))

    def sums(self, steps: array[float]) -> array[float]:
        """Return a counter at each scrape, given its steps."""
        return array("d", accumulate(steps[: self.count]))

    def counter(self, grown: Iterable[tuple[float, float]]) -> array[float]:
        """Return a counter at each scrape, given when it grew by how much."""
        steps = self.steps()
        for at, by in grown:
            steps[self.next(at)] += by
        return self.sums(steps)

    def gauge(self, spans: Iterable[tuple[float, float]]) -> array[float]:
        """Return at each scrape how many spans have begun and not ended."""
        return self.counter(step for begun, ended in spans for step in ((begun, 1.0), (ended, -1.0)))


def _rows_by_backend(result: Result) -> dict[str, array[int]]:
    names = (*result.backends, NO_BACKEND)  # number -1 is the last
    rows: dict[str, array[int]] = {name: array("l") for name in names}
    for row, backend in enumerate(result.backend):
        rows[names[backend]].append(row)
    return rows


def _count(store: Store, scrapes: Scrapes, result: Result, name: str, rows: Sequence[int]) -> None:
    """Add the counters of requests, also of classes that never came: an alert divides by their sum."""
    steps = {code: scrapes.steps() for code in CLASSES}
    for row in rows:
        steps[code_class(result.status[row])][scrapes.next(result.end[row])] += 1
    for code in CLASSES:
        store.add(REQUESTS.name, labels(backend=name, code=code), scrapes.sums(steps[code]))


def _histogram(
    store: Store, scrapes: Scrapes, metric: Metric, of: Labels, samples: Iterable[tuple[float, float]]
) -> None:
    """Add the series of a histogram, given when each sample came."""
    buckets = [scrapes.steps() for _ in (*BOUNDS, inf)]
    total = scrapes.steps()
    for at, value in samples:
        scrape = scrapes.next(at)
        buckets[bisect_left(BOUNDS, value)][scrape] += 1
        total[scrape] += value
    upto = scrapes.sums(scrapes.steps())
    for bound, steps in zip((*BOUNDS, inf), buckets, strict=True):
        upto = array("d", map(add, upto, scrapes.sums(steps)))
        le = "+Inf" if bound == inf else f"{bound:g}"
        store.add(f"{metric.name}_bucket", tuple(sorted((*of, ("le", le)))), upto)
    store.add(f"{metric.name}_count", of, upto)
    store.add(f"{metric.name}_sum", of, scrapes.sums(total))


def _servers(store: Store, scrapes: Scrapes, result: Result) -> None:
    """Add whether each server gets requests, and its workers."""
    for server in result.experiment.servers:
        of = labels(backend=server.name)
        out = scrapes.gauge(_times_out(result, server.name))
        store.add(UP.name, of, [float(not machines) for machines in out])
        store.add(WORKERS.name, of, [0 if machines else server.workers for machines in out])


def _times_out(result: Result, name: str) -> list[tuple[float, float]]:
    """Return from when to when each of a server's state machines held it out of service."""
    spans: list[tuple[float, float]] = []
    since: dict[str, float] = {}
    for change in result.changes:
        if change.backend != name:
            continue
        if change.after in OUT:
            since.setdefault(change.kind, change.at)
        elif change.kind in since:
            spans.append((since.pop(change.kind), change.at))
    return [*spans, *((at, inf) for at in since.values())]

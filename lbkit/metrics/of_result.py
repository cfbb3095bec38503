"""The metrics of a run, of any engine, as a Prometheus would have scraped them while it ran."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from math import ceil, inf, isnan
from operator import add

from lbkit.core.options import number
from lbkit.core.state_change import OUT
from lbkit.metrics.names import (
    ACCEPTED,
    BOUNDS,
    CLASSES,
    CLIENTS,
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
from lbkit.recorded import Relayed
from lbkit.result import Result, good


def metrics_of(result: Result, every: float = 5.0) -> Store:
    """Return the metrics of a run, scraped each `every` seconds from its start to its end.

    Gauges have the value of the moment of a scrape, as they always have: what comes and goes between two
    scrapes is not in them. Connections are those of a recorded simulation at layer 4 (`record=True`).
    Other rows know none, and no rows know of bytes, processors or memory.

    Raises ValueError for an interval that is not above 0."""
    number(0, above=True, every=every)
    over = max(result.experiment.traffic.duration, max(result.end, default=0.0))
    scrapes = Scrapes(every, ceil(over / every - 1e-9) + 1)
    store = Store([i * every for i in range(scrapes.count)])
    came, seen = scrapes.all(result.arrival), scrapes.all(result.end)
    again = array("i", (max(0, attempts - 1) for attempts in result.attempts))
    status, start = result.status, result.start

    def samples(values: Sequence[float], rows: Iterable[int]) -> Iterator[Sample]:
        return ((seen[row], values[row]) for row in rows)

    for name, rows in _rows_by_backend(result).items():
        of = labels(backend=name)
        _count(store, scrapes, name, samples(status, rows))
        store.add(RETRIES.name, of, scrapes.counter(samples(again, rows)))
        answered = [row for row in rows if good(status[row])]
        _histogram(store, scrapes, DURATION, of, samples(result.latency, answered))
        served = [row for row in rows if not isnan(start[row])]
        _histogram(store, scrapes, WAITING, of, samples(result.waiting, served))
        _histogram(store, scrapes, SERVICE, of, samples(result.service, served))
        store.add(IN_FLIGHT.name, of, scrapes.gauge((came[row], seen[row]) for row in rows))
    _servers(store, scrapes, result)
    if "relayed" in result.extra:
        _connections(store, scrapes, result.extra["relayed"])
    return store


Sample = tuple[int, float]  # the number of the scrape that sees it first, and the value


class Scrapes:
    """Scrapes at equal distances, the first at 0."""

    def __init__(self, every: float, count: int) -> None:
        self.every = every
        self.count = count

    def next(self, at: float) -> int:
        """Return the number of the first scrape that sees what happened at `at`; `count` if none does."""
        number = at / self.every - 1e-9  # not one scrape later for a rounding error
        return self.count if number >= self.count else max(0, ceil(number))

    def all(self, times: Iterable[float]) -> array[int]:
        """Return the number of the next scrape for each of some times."""
        return array("l", map(self.next, times))

    def steps(self) -> array[float]:
        """Return what a counter has grown until each scrape, and after the last: nothing yet."""
        return array("d", bytes(8 * (self.count + 1)))

    def sums(self, steps: array[float]) -> array[float]:
        """Return a counter at each scrape, given its steps."""
        return array("d", accumulate(steps[: self.count]))

    def counter(self, samples: Iterable[Sample]) -> array[float]:
        """Return a counter at each scrape."""
        steps = self.steps()
        for scrape, by in samples:
            steps[scrape] += by
        return self.sums(steps)

    def gauge(self, spans: Iterable[tuple[int, int]]) -> array[float]:
        """Return at each scrape how many spans have begun and not ended, given the numbers of the scrapes."""
        return self.counter(step for begun, ended in spans for step in ((begun, 1.0), (ended, -1.0)))


def _rows_by_backend(result: Result) -> dict[str, array[int]]:
    names = (*result.backends, NO_BACKEND)  # number -1 is the last
    rows: dict[str, array[int]] = {name: array("l") for name in names}
    for row, backend in enumerate(result.backend):
        rows[names[backend]].append(row)
    return rows


def _count(store: Store, scrapes: Scrapes, name: str, statuses: Iterable[Sample]) -> None:
    """Add the counters of requests, also of classes that never came: an alert divides by their sum."""
    steps = {code: scrapes.steps() for code in CLASSES}
    for scrape, status in statuses:
        steps[code_class(int(status))][scrape] += 1
    for code in CLASSES:
        store.add(REQUESTS.name, labels(backend=name, code=code), scrapes.sums(steps[code]))


def _histogram(store: Store, scrapes: Scrapes, metric: Metric, of: Labels, samples: Iterable[Sample]) -> None:
    """Add the series of a histogram, given its samples."""
    buckets = [scrapes.steps() for _ in (*BOUNDS, inf)]
    total = scrapes.steps()
    for scrape, value in samples:
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
    for server in result.experiment.leaves:
        of = labels(backend=server.name)
        spans = _times_out(result, server.name)
        out = scrapes.gauge((scrapes.next(begun), scrapes.next(ended)) for begun, ended in spans)
        store.add(UP.name, of, [float(not machines) for machines in out])
        store.add(WORKERS.name, of, [0 if machines else server.workers for machines in out])


def _connections(store: Store, scrapes: Scrapes, relayed: Iterable[Relayed]) -> None:
    """Add the connections of clients; those that are open at the end have no end."""
    spans = [
        (scrapes.next(one.opened), scrapes.count if isnan(one.closed) else scrapes.next(one.closed))
        for one in relayed
    ]
    store.add(ACCEPTED.name, labels(), scrapes.counter((opened, 1.0) for opened, _ in spans))
    store.add(CLIENTS.name, labels(), scrapes.gauge(spans))


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

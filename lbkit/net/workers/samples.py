"""What a proxy has counted as samples of the metrics of `lbkit.metrics`: from the reports of its processes.

A sample is the values of the labels, and the value; a histogram's is its buckets, each with its bound, and
its sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import Any

from lbkit.core.histogram import MICROSECONDS, cumulative
from lbkit.metrics import names
from lbkit.metrics.names import BOUNDS, CLASSES, HISTOGRAM, NO_BACKEND, Metric
from lbkit.metrics.store import Labels, Scrape, labels
from lbkit.net.workers.figures import histogram as histogram_of
from lbkit.net.workers.report import Report

Sample = tuple[list[str], Any]
Samples = Callable[[str, Report], Iterator[Sample]]  # of a backend, by its name and counts

LEFT = 4  # the client's own doing: class 4xx, as nginx' 499


def _requests(name: str, row: Report) -> Iterator[Sample]:
    left, *classes = row.get("classes", [0] * 10)
    classes[LEFT - 1] += left
    for code, count in zip(CLASSES, classes, strict=False):
        yield [name, code], count


def _count(key: str) -> Samples:
    def samples(name: str, row: Report) -> Iterator[Sample]:
        yield [name], row.get(key, 0)

    return samples


def _by_reason(key: str) -> Samples:
    def samples(name: str, row: Report) -> Iterator[Sample]:
        for reason, count in row.get(key, {}).items():
            yield [name, reason], count

    return samples


def _durations(key: str) -> Samples:
    def samples(name: str, row: Report) -> Iterator[Sample]:
        counts, micros = histogram_of(row, key)
        upto = cumulative(counts, [*BOUNDS, inf])
        labelled = zip([*(f"{bound:g}" for bound in BOUNDS), "+Inf"], upto, strict=True)
        yield [name], (list(labelled), micros / MICROSECONDS)

    return samples


OF_ROWS: dict[Metric, Samples] = {
    names.REQUESTS: _requests,
    names.ERRORS: _by_reason("errors"),
    names.RETRIES: _count("retries"),
    names.ATTEMPTS: _count("attempts"),
    names.FAILED: _by_reason("failures"),
    names.BYTES: _count("bytes"),
    names.DURATION: _durations("latency"),
    names.FIRST_BYTE: _durations("first_byte"),
    names.CONNECT: _durations("connect"),
}
OF_STATES: dict[Metric, Callable[[Report], float | None]] = {  # None: not known
    names.UP: lambda row: float(row["gets_requests"]),
    names.IN_FLIGHT: lambda row: row["in_flight"],
    names.WEIGHT: lambda row: row["weight"],
    names.WORKERS: lambda row: row["workers"] * row["gets_requests"] if row["workers"] else None,
}


def state_samples(metric: Metric, states: Iterable[Report]) -> Iterator[Sample]:
    """Yield the samples of one of OF_STATES, where it is known."""
    for row in states:
        if (value := OF_STATES[metric](row)) is not None:
            yield [row["name"]], value


def scrape(counts: Report, states: Iterable[Report]) -> Scrape:
    """Return the series of backends, as a Prometheus would have them from `/metrics`.

    `counts`, `states`: what a report has as "counts" and as "backends"."""
    found: dict[str, dict[Labels, float]] = {}

    def note(metric: Metric, samples: Iterable[Sample]) -> None:
        for values, value in samples:
            of = dict(zip(metric.labels, values, strict=True))
            if metric.kind != HISTOGRAM:
                found.setdefault(metric.name, {})[labels(**of)] = value
                continue
            buckets, total = value
            for le, count in buckets:
                found.setdefault(f"{metric.name}_bucket", {})[labels(**of, le=le)] = count
            found.setdefault(f"{metric.name}_count", {})[labels(**of)] = buckets[-1][1]
            found.setdefault(f"{metric.name}_sum", {})[labels(**of)] = total

    rows = {**counts["backends"], NO_BACKEND: counts.get("elsewhere", {})}
    for metric, of_row in OF_ROWS.items():
        note(metric, (sample for name, row in rows.items() for sample in of_row(name, row)))
    known = list(states)
    for metric in OF_STATES:
        note(metric, state_samples(metric, known))
    return found

"""The panels of a dashboard, as a table: Grafana, the kit's own page and the notebooks take theirs from it.

Two methods choose them. RED looks at what clients get: rate, errors, duration (Wilkie, 2015). USE looks at
what it is made with: utilisation, saturation, errors of each resource (Gregg, 2012).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lbkit.metrics import names
from lbkit.metrics.query import Quantile, Query, Rate, Ratio, Sum, Value
from lbkit.metrics.shares import error_share
from lbkit.metrics.store import Store

PER_SECOND = "per second"
SECONDS = "seconds"
SHARE = "share"
BYTES = "bytes"
BYTES_PER_SECOND = "bytes per second"
COUNT = "count"
UNITS = (PER_SECOND, SECONDS, SHARE, BYTES, BYTES_PER_SECOND, COUNT)

RED = "Requests (RED)"
USE = "Servers (USE)"
GROUPS = (RED, USE)

BACKEND = ("backend",)
EACH = "{{backend}}"


@dataclass(frozen=True, slots=True)
class Line:
    """A query, and the name of each of its values: {{label}} stands for a label's value, as in Grafana."""

    query: Query
    legend: str

    def at(self, store: Store, at: float) -> dict[str, float]:
        """Return the values at a time, by legend; none if the store lacks a metric that is asked for."""
        if not set(self.query.series) <= set(store.names):
            return {}
        return {legend(self.legend, dict(of)): value for of, value in self.query.at(store, at).items()}


@dataclass(frozen=True, slots=True)
class Panel:
    """A figure over time: lines of one unit."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    group: str
    help: str

    def at(self, store: Store, at: float) -> dict[str, float]:
        """Return the values of all lines at a time, by legend; none of what the store lacks."""
        return {name: value for line in self.lines for name, value in line.at(store, at).items()}


def panels(window: float = 60.0) -> tuple[Panel, ...]:
    """Return the panels, with rates and quantiles over the last `window` seconds: four scrapes or more, so
    that one that fails leaves no gap. Raises ValueError for a window that is not above 0."""
    return tuple(
        Panel(title, unit, lines, group, text)
        for group, rows in ((RED, _requests(window)), (USE, _servers(window)))
        for title, unit, lines, text in rows
    )


def legend(text: str, labels: dict[str, str]) -> str:
    """Return a legend with the values of labels in the place of their names."""
    return re.sub(r"{{\s*(\w+)\s*}}", lambda found: labels.get(found[1], ""), text)


Rows = tuple[tuple[str, str, tuple[Line, ...], str], ...]


def _requests(window: float) -> Rows:
    def rate(metric: names.Metric, *by: str) -> Query:
        return Sum(Rate(metric.name, window), by)

    def p95(metric: names.Metric) -> Query:
        return Quantile(0.95, metric.name, window)

    quantiles = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return (
        (
            "Requests",
            PER_SECOND,
            (Line(rate(names.REQUESTS, "code"), "{{code}}"),),
            "Requests that ended, by the class of their status; none: without any answer.",
        ),
        (
            "Errors",
            SHARE,
            (Line(error_share(window), "all"),),
            "Share of requests with status 5xx or without any answer.",
        ),
        (
            "Latency",
            SECONDS,
            tuple(Line(Quantile(q, names.DURATION.name, window), name) for name, q in quantiles.items()),
            "From request to answer, of successes. A mean would hide the slow ones.",
        ),
        (
            "Where the time goes (p95)",
            SECONDS,
            (
                Line(p95(names.CONNECT), "connect"),
                Line(p95(names.FIRST_BYTE), "first byte"),
                Line(p95(names.WAITING), "waiting"),
                Line(p95(names.SERVICE), "service"),
            ),
            "A proxy sees connects and first bytes; a run knows how long requests waited and were served.",
        ),
        (
            "Requests by backend",
            PER_SECOND,
            (Line(rate(names.REQUESTS, *BACKEND), EACH),),
            "How the balancer spreads the requests.",
        ),
        (
            "Errors by backend",
            SHARE,
            (Line(error_share(window, BACKEND), EACH),),
            "Which backend fails; none: requests that reached no backend.",
        ),
        (
            "Latency by backend (p95)",
            SECONDS,
            (Line(Quantile(0.95, names.DURATION.name, window, BACKEND), EACH),),
            "Which backend is slow.",
        ),
        (
            "Retries by backend",
            PER_SECOND,
            (Line(rate(names.RETRIES, *BACKEND), EACH),),
            "Attempts after the first: load that clients did not send.",
        ),
    )


def _servers(window: float) -> Rows:
    def busy(metric: names.Metric) -> Query:
        seconds = Sum(Rate(f"{metric.name}_sum", window), BACKEND)
        return Ratio(seconds, Sum(Value(names.WORKERS.name), BACKEND))

    def gauge(metric: names.Metric) -> Query:
        return Sum(Value(metric.name), BACKEND)

    return (
        (
            "Utilisation",
            SHARE,
            (Line(busy(names.SERVICE), EACH), Line(busy(names.FIRST_BYTE), f"{EACH}, to the first byte")),
            "Share of the workers' time that they work. A proxy sees no work, only how long backends take to"
            " their first byte: a queue there counts too, so this can be above 1.",
        ),
        ("In flight", COUNT, (Line(gauge(names.IN_FLIGHT), EACH),), "Requests that have come and not ended."),
        ("Up", COUNT, (Line(gauge(names.UP), EACH),), "1 while the balancer sends it requests, else 0."),
        ("Weight", COUNT, (Line(gauge(names.WEIGHT), EACH),), "A backend's part of the requests."),
        (
            "Open connections",
            COUNT,
            (Line(Sum(Value(names.CLIENTS.name)), "clients"),),
            "Of clients with the proxy.",
        ),
        (
            "New connections",
            PER_SECOND,
            (
                Line(Sum(Rate(names.ACCEPTED.name, window)), "clients"),
                Line(Sum(Rate(f"{names.CONNECT.name}_count", window)), "backends"),
            ),
            "Those that clients make and those that the proxy makes: few a request while they are kept.",
        ),
        (
            "Bytes",
            BYTES_PER_SECOND,
            (Line(Sum(Rate(names.BYTES.name, window), BACKEND), EACH),),
            "To and from each backend.",
        ),
        (
            "Processors",
            COUNT,
            (
                Line(Sum(Rate(names.CPU.name, window)), "busy"),
                Line(Sum(Value(names.PROCESSES.name)), "workers"),
            ),
            "How many processors the proxy keeps busy. No worker can use more than one.",
        ),
        ("Memory", BYTES, (Line(Sum(Value(names.MEMORY.name)), "proxy"),), "The largest that it has been."),
    )


PANELS = panels()

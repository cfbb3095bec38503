"""The result of a run: one row for each request, in columns, the same for all engines.

Statistics leave out the warm-up. Times are in seconds from the start of the experiment.
"""

from __future__ import annotations

import csv
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from itertools import compress
from math import ceil, floor
from operator import eq, sub
from pathlib import Path
from typing import Any

from lbkit.edge import TOO_MANY
from lbkit.experiment import Experiment
from lbkit.stats import PERCENTILES, jain, mean_level, percentile

__all__ = ["COLUMNS", "PERCENTILES", "TABLE", "Result", "good", "jain", "percentile", "rows", "table"]

# Column -> array type code. The order is that of exports.
COLUMNS = {
    "arrival": "d",  # when the client sent it, or was due to (open loop)
    "start": "d",  # when a server began to serve it; nan if none did
    "end": "d",  # when the client had the complete answer
    "backend": "i",  # index into `backends`; -1 if none answered
    "client": "i",
    "path": "i",
    "status": "i",  # HTTP status; 0: no answer at all
    "attempts": "i",  # backends tried
    "service": "d",  # service time in seconds
}


class Result:
    """The requests of one run. Every column is an array of the same length."""

    def __init__(
        self,
        experiment: Experiment,
        engine: str,
        columns: dict[str, array[Any]],
        extra: dict[str, Any] | None = None,
    ) -> None:
        """`columns`: all of COLUMNS, rows in any order. `extra`: data of this engine only.

        Raises ValueError for a missing column or columns of unequal length."""
        lengths = {name: len(columns[name]) for name in COLUMNS if name in columns}
        if lengths.keys() != COLUMNS.keys() or len(set(lengths.values())) > 1:
            raise ValueError(f"a result needs columns {', '.join(COLUMNS)} of one length, got {lengths}")
        self.experiment = experiment
        self.engine = engine
        self.backends = tuple(s.name for s in experiment.servers)
        self.columns = columns
        self.extra = extra or {}

    def __getattr__(self, name: str) -> Any:
        if name in COLUMNS:
            return self.columns[name]
        raise AttributeError(f"a Result has no {name!r}")

    def __len__(self) -> int:
        return len(self.columns["arrival"])

    @property
    def policy(self) -> str:
        return self.experiment.policy.algorithm

    # -- the rows that count -----------------------------------------------------------

    @property
    def window(self) -> float:
        """Seconds the statistics cover: the duration without the warm-up."""
        return self.experiment.traffic.duration - self.experiment.traffic.warmup

    @cached_property
    def counted(self) -> list[bool]:
        """For each row, whether it arrived after the warm-up."""
        warmup = self.experiment.traffic.warmup
        return [t >= warmup for t in self.arrival]

    @cached_property
    def ok(self) -> list[bool]:
        """For each row, whether it counts and has a good answer: no server error, no "too many requests"."""
        return [c and good(s) for c, s in zip(self.counted, self.status, strict=True)]

    def where(self, **wanted: Any) -> Result:
        """Return the rows with these values, or for which these functions of a value are true.

        As in `where(client=0)` or `where(backend="s1", status=lambda status: status > 400)`. Raises
        ValueError for an unknown column."""
        if unknown := wanted.keys() - COLUMNS.keys():
            raise ValueError(f"no column {', '.join(sorted(unknown))}: there are {', '.join(COLUMNS)}")
        if isinstance(wanted.get("backend"), str):
            wanted["backend"] = self.backends.index(wanted["backend"])
        tests = [(self.columns[name], v if callable(v) else partial(eq, v)) for name, v in wanted.items()]
        rows = [i for i in range(len(self)) if all(test(column[i]) for column, test in tests)]
        columns = {name: array(code, (self.columns[name][i] for i in rows)) for name, code in COLUMNS.items()}
        return Result(self.experiment, self.engine, columns, self.extra)

    def latencies(self, backend: str | None = None) -> list[float]:
        """Return the latencies of the good answers in seconds, sorted; of one backend if named."""
        if backend is None:
            return self._latencies
        index = self.backends.index(backend)
        rows = zip(self.ok, self.backend, self.arrival, self.end, strict=True)
        return sorted(end - arrival for ok, b, arrival, end in rows if ok and b == index)

    @cached_property
    def _latencies(self) -> list[float]:
        rows = compress(zip(self.arrival, self.end, strict=True), self.ok)
        return sorted(end - arrival for arrival, end in rows)

    # -- numbers ------------------------------------------------------------------------

    @property
    def mean(self) -> float:
        """Mean latency of the good answers; nan if there are none."""
        values = compress(map(sub, self.end, self.arrival), self.ok)
        good = sum(self.ok)
        return sum(values) / good if good else float("nan")

    def percentile(self, q: float) -> float:
        """Return the latency in seconds that `q` % of the good answers do not exceed; nan without any."""
        return percentile(self._latencies, q)

    @property
    def throughput(self) -> float:
        """Good answers a second to requests that arrived in the window."""
        return len(self._latencies) / self.window

    @cached_property
    def error_rate(self) -> float:
        """Share of the counted requests without a good answer."""
        total = sum(self.counted)
        return 1 - sum(self.ok) / total if total else 0.0

    @cached_property
    def denied(self) -> float:
        """Share of the counted requests that a rate limit denied (status 429)."""
        total = sum(self.counted)
        rows = zip(self.counted, self.status, strict=True)
        return sum(c and s == TOO_MANY for c, s in rows) / total if total else 0.0

    @cached_property
    def counts(self) -> dict[str, int]:
        """Counted requests by the backend that answered."""
        totals = [0] * (len(self.backends) + 1)
        for backend in compress(self.backend, self.counted):
            totals[backend] += 1  # -1, no backend, is the last entry
        return dict(zip(self.backends, totals, strict=False))

    @property
    def shares(self) -> dict[str, float]:
        """`counts` as shares of 1."""
        total = sum(self.counts.values()) or 1
        return {name: count / total for name, count in self.counts.items()}

    def fairness(self, by_capacity: bool = False) -> float:
        """Return Jain's index of the counts: 1 if all are equal, 1/n if one has all. (DEC-TR-301, 1984.)

        `by_capacity` divides each count by the server's capacity."""
        load = [self.counts[s.name] / (s.capacity if by_capacity else 1.0) for s in self.experiment.servers]
        return jain(load)

    @cached_property
    def utilisation(self) -> dict[str, float]:
        """Busy share of each server's workers within the window."""
        busy = [0.0] * (len(self.backends) + 1)
        t0, t1 = self.experiment.traffic.warmup, self.experiment.traffic.duration
        for backend, start, work in zip(self.backend, self.start, self.service, strict=True):
            if work > 0:
                busy[backend] += max(0.0, min(start + work, t1) - max(start, t0))
        workers = {s.name: s.workers for s in self.experiment.servers}
        return {n: b / (workers[n] * self.window) for n, b in zip(self.backends, busy, strict=False)}

    def in_flight(self, step: float) -> tuple[list[float], dict[str, list[int]]]:
        """Return times, every `step` seconds, and the requests in the system at each, by backend."""
        last = max(self.end, default=0.0)
        times = [i * step for i in range(floor(last / step) + 1)]
        changes = [[0] * (len(times) + 1) for _ in range(len(self.backends) + 1)]
        for backend, arrival, end in zip(self.backend, self.arrival, self.end, strict=True):
            changes[backend][bisect_left(times, arrival)] += 1
            changes[backend][bisect_left(times, end)] -= 1
        levels: dict[str, list[int]] = {}
        for name, change in zip(self.backends, changes, strict=False):
            level = 0
            levels[name] = [level := level + c for c in change[:-1]]
        return times, levels

    def over_time(self, step: float, of: Callable[[list[float]], float]) -> tuple[list[float], list[float]]:
        """Return the start of each step, and `of` the good latencies of requests that arrived in it."""
        steps = self.experiment.traffic.duration / step
        buckets: list[list[float]] = [[] for _ in range(max(1, ceil(steps - 1e-9)))]
        rows = zip(self.arrival, self.end, self.status, strict=True)
        for arrival, end, status in rows:
            if good(status):
                buckets[min(floor(arrival / step), len(buckets) - 1)].append(end - arrival)
        return [i * step for i in range(len(buckets))], [of(b) if b else float("nan") for b in buckets]

    def littles_law(self) -> tuple[float, float]:
        """Return L and lambda x W over the whole run with the warm-up. They are equal for any policy.

        L, the time average of requests in the system, is counted from arrivals and
        ends as events; lambda x W is the product of rate and mean latency. (Little, 1961.)"""
        horizon = max(self.end, default=0.0)
        if not horizon:
            return 0.0, 0.0
        waits = [end - arrival for arrival, end in zip(self.arrival, self.end, strict=True)]
        return mean_level(self.arrival, self.end), sum(waits) / horizon  # lambda x W = (n / T) x (sum / n)

    def summary(self) -> dict[str, Any]:
        """Return the numbers for a comparison: seconds, requests a second, shares."""
        return {
            "policy": self.policy,
            "engine": self.engine,
            "requests": sum(self.counted),
            "throughput": self.throughput,
            "error_rate": self.error_rate,
            "mean": self.mean,
            **{f"p{q:g}": self.percentile(q) for q in PERCENTILES},
            "fairness": self.fairness(),
            "busiest": max(self.utilisation.values()),
        }

    # -- export -------------------------------------------------------------------------

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the columns as lists, with names of backends, as CSV, Parquet and data frames take them."""
        plain = {name: list(self.columns[name]) for name in COLUMNS}
        plain["backend"] = [self.backends[b] if b >= 0 else None for b in self.backend]
        return plain

    def to_csv(self, path: str | Path) -> None:
        plain = self.to_dict()
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(plain)
            writer.writerows(zip(*plain.values(), strict=True))

    def to_pandas(self) -> Any:
        """Return a DataFrame with a row for each request. Raises ImportError without pandas."""
        import pandas as pd

        return pd.DataFrame(self.to_dict())

    def __repr__(self) -> str:
        return (
            f"<Result {self.policy} on {self.engine}: {sum(self.counted)} requests, "
            f"mean {self.mean * 1e3:.3g} ms, p99 {self.percentile(99) * 1e3:.3g} ms, "
            f"{self.error_rate:.2%} errors>"
        )

    def _repr_html_(self) -> str:
        return table([self])


def good(status: int) -> bool:
    """Return whether a status is a good answer: also a client's error, but no 429 and no server error."""
    return 0 < status < 500 and status != TOO_MANY


# Column of a comparison -> (key in summary(), factor, format).
TABLE = {
    "policy": ("policy", None, ""),
    "engine": ("engine", None, ""),
    "requests": ("requests", 1, ",d"),
    "req/s": ("throughput", 1, ",.0f"),
    "errors %": ("error_rate", 100, ".2f"),
    "mean ms": ("mean", 1e3, ".1f"),
    "p50 ms": ("p50", 1e3, ".1f"),
    "p95 ms": ("p95", 1e3, ".1f"),
    "p99 ms": ("p99", 1e3, ".1f"),
    "p99.9 ms": ("p99.9", 1e3, ".1f"),
    "fairness": ("fairness", 1, ".3f"),
    "busiest %": ("busiest", 100, ".0f"),
}


def rows(results: Sequence[Result]) -> list[list[str]]:
    """Return a row of texts for each result, in the columns of TABLE."""
    summaries = [r.summary() for r in results]
    return [
        [s[key] if factor is None else format(s[key] * factor, form) for key, factor, form in TABLE.values()]
        for s in summaries
    ]


def table(results: Sequence[Result]) -> str:
    """Return an HTML table with a row for each result."""
    from html import escape

    def line(tag: str, cells: Iterable[str]) -> str:
        # Text to the left, numbers to the right, whatever the style of the page.
        sides = ("left" if factor is None else "right" for _, factor, _ in TABLE.values())
        return "".join(
            f'<{tag} style="text-align: {side}; padding: 2px 8px; white-space: nowrap">{escape(cell)}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows(results))
    return f"<table><thead><tr>{line('th', TABLE)}</tr></thead><tbody>{body}</tbody></table>"

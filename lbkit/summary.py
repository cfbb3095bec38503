"""The result of a run that keeps totals instead of a row for each request: `run(..., keep="summary")`."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from math import ceil, floor, nan
from typing import Any

from lbkit import diagnostics
from lbkit.columns import COLUMNS, OPTIONAL
from lbkit.edge import TOO_MANY
from lbkit.experiment import Experiment
from lbkit.result import Result
from lbkit.stats import jain, percentile


class SummaryResult(Result):
    """A Result without rows. Percentiles are within 0.8 % of the true value; all other numbers are exact.

    Columns of requests, and methods that need them, raise ValueError."""

    def __init__(self, experiment: Experiment, engine: str, totals: Any, extra: dict[str, Any]) -> None:
        self.experiment, self.engine, self.extra = experiment, engine, extra
        self.backends = tuple(server.name for server in experiment.leaves)
        self.rules = tuple(rule.name for rule in experiment.routing.rules) if experiment.routing else ()
        self.kinds = tuple(kind.name for kind in experiment.traffic.mix)
        self.columns = {}
        self.totals = totals

    def __getattr__(self, name: str) -> Any:
        if name in COLUMNS or name in OPTIONAL:
            raise ValueError(f'this Result is a summary, without rows and {name}: use run(..., keep="all")')
        raise AttributeError(f"a Result has no {name!r}")

    def __len__(self) -> int:
        return int(self.totals.requests)

    @property
    def requests(self) -> int:
        return int(self.totals.counted)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of a Result, except whether the transient is over, which needs rows."""
        good = range(self.totals.good)
        rules = diagnostics.overload, diagnostics.tail
        return self.faults + tuple(text for rule in rules if (text := rule(self.experiment, good)))

    @property
    def mean(self) -> float:
        return self.totals.latency / self.totals.good if self.totals.good else nan

    def mean_of(self, column: str) -> float:
        totals = self.totals
        known = {
            "latency": (totals.latency, totals.good),
            "waiting": (totals.waiting, totals.served),
            "slowdown": (totals.slowdown, totals.worked),
        }
        if column not in known:
            return float(getattr(self, column))  # says that there are no rows
        total, count = known[column]
        return total / count if count else nan

    def percentile(self, q: float, backend: str | None = None) -> float:
        """Return the latency in seconds that `q` % of the good answers do not exceed, within 0.8 %."""
        index = -1 if backend is None else self._index(backend)
        count = self.totals.answers(index)
        rank = percentile(range(count), q) if count else nan
        if not count:
            return nan
        low, high = (self.totals.latency_at(edge, index) for edge in (floor(rank), ceil(rank)))
        return float(low + (high - low) * (rank - floor(rank)))

    @property
    def goodput(self) -> float:
        return float(self.totals.in_window / self.window)

    @property
    def throughput(self) -> float:
        return self.goodput

    @property
    def error_rate(self) -> float:
        return 1 - self.totals.good / self.totals.counted if self.totals.counted else 0.0

    @property
    def denied(self) -> float:
        counted = self.totals.counted
        return self.totals.by_status.get(TOO_MANY, 0) / counted if counted else 0.0

    @cached_property
    def counts(self) -> dict[str, int]:
        return {name: int(self.totals.by_backend[i]) for i, name in enumerate(self.backends)}

    @property
    def client_counts(self) -> dict[int, int]:
        """Counted requests by client number; clients without requests are left out."""
        return {i: int(count) for i, count in enumerate(self.totals.by_client) if count}

    @property
    def status_counts(self) -> dict[int, int]:
        """Counted requests by status."""
        others = Counter(self.totals.by_status)
        return {200: self.totals.counted - others.total(), **others}

    def fairness(self, by_capacity: bool = False) -> float:
        if not self.totals.good:
            return nan
        servers = self.experiment.leaves
        return jain([self.counts[s.name] / (s.capacity if by_capacity else 1.0) for s in servers])

    @cached_property
    def utilisation(self) -> dict[str, float]:
        servers = enumerate(self.experiment.leaves)
        return {s.name: self.totals.busy[i] / (s.workers * self.window) for i, s in servers}

    @property
    def series(self) -> dict[str, list[float]]:
        """Counts of good and of other answers, and the mean latency of the good ones, by arrival time.

        In 1,000 intervals, which begin at `start`. `start` and `mean` are in seconds; `mean` is nan for an
        interval without a good answer."""
        totals = self.totals
        good, failed = [int(n) for n in totals.bin_good], [int(n) for n in totals.bin_failed]
        means = [s / n if n else nan for s, n in zip(totals.bin_latency, good, strict=True)]
        starts = [i * totals.step for i in range(len(good))]
        return {"start": starts, "good": [*good], "failed": [*failed], "mean": means}

    def littles_law(self) -> tuple[float, float]:
        return self.totals.stay / self.window, self.totals.took / self.window

"""The result of a run: its requests and what the engine reports, with statistics of them.

Statistics cover the window, from the end of the warm-up to the end of the duration. Those of latency, errors
and shares are about the requests that arrived in it; throughput, utilisation and queue lengths are about what
happened in it. Times are in seconds from the start of the experiment.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from functools import cached_property, partial
from itertools import compress
from math import ceil, floor, nan
from operator import eq
from typing import Any

from lbkit import diagnostics
from lbkit.caching import Served
from lbkit.columns import COLUMNS, DERIVED, OPTIONAL, Columns, good
from lbkit.core.latencies import good_latencies
from lbkit.core.options import number
from lbkit.core.text import did_you_mean, shown
from lbkit.detection import Detection, detections
from lbkit.edge import TOO_MANY
from lbkit.engine_report import EngineReport
from lbkit.recorded import RECORDED
from lbkit.refusals import Refusals
from lbkit.server import PROCESSOR_SHARING
from lbkit.sessions import SessionCounts, follow
from lbkit.stats import PERCENTILES, busy_time, jain, mean, mean_level, percentile
from lbkit.table import duration, table

__all__ = ["COLUMNS", "DERIVED", "OPTIONAL", "PERCENTILES", "Result", "good", "jain", "percentile"]

MOST_STEPS = 1_000_000  # of a curve: more than a figure shows, and few enough for the memory
TINY_STEP = 1e-9  # seconds


class Result(Columns, EngineReport, Refusals):
    """The requests of one run, and their statistics."""

    @property
    def policy(self) -> str:
        return self.experiment.policy.algorithm

    @cached_property
    def detections(self) -> tuple[Detection, ...]:
        """For each fault of the timeline, the time until it was detected and the requests that failed."""
        failures = [at for at, status in zip(self.arrival, self.status, strict=True) if not good(status)]
        experiment = self.experiment
        return tuple(detections(experiment.timeline, experiment.leaves, self.changes, failures))

    @cached_property
    def sessions(self) -> SessionCounts:
        """The numbers of sessions, of their moves, and of losses of their state.

        Raises ValueError for traffic without sessions."""
        if "session" not in self.columns:
            raise ValueError("the traffic has no sessions: use Traffic(Sessions(...))")
        columns = (self.session, self.backend, self.arrival, self.end, self.status)
        return follow(self.experiment, *columns, self.changes)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """Reasons to doubt the statistics, a line each: faults, overload, few answers, no steady state."""
        return self.faults + diagnostics.warnings(self.experiment, self._good)

    @property
    def settled(self) -> bool:
        """Whether the statistics are those of a steady state: no overload, and the transient is over."""
        return diagnostics.settled(self.experiment, self._good)

    @property
    def unsettled(self) -> str:
        """The one of the warnings that says that the transient is not over; empty if it is."""
        return diagnostics.unsettled(self.experiment, self._good)

    # -- the counted rows -----------------------------------------------------------

    @property
    def window(self) -> float:
        """The seconds that the statistics cover: the duration without the warm-up."""
        return self.experiment.traffic.duration - self.experiment.traffic.warmup

    @cached_property
    def counted(self) -> list[bool]:
        """For each row, whether the request arrived after the warm-up."""
        warmup = self.experiment.traffic.warmup
        return [t >= warmup for t in self.arrival]

    @property
    def requests(self) -> int:
        """The number of counted requests."""
        return sum(self.counted)

    @cached_property
    def ok(self) -> list[bool]:
        """For each row, whether it is counted and has a good answer: no server error, no 429."""
        return [c and good(s) for c, s in zip(self.counted, self.status, strict=True)]

    def where(self, **wanted: Any) -> Result:
        """Return the rows with these values, or for which these functions of a value are true.

        As in `where(client=0)` or `where(backend="s1", status=lambda status: status > 400)`. Raises
        ValueError for an unknown column."""
        columns = [*self.columns, *DERIVED]
        for name in wanted:
            if name not in columns:
                near = did_you_mean(name, columns)
                raise ValueError(f"no column {name}: there are {', '.join(columns)}{near}")
        if isinstance(wanted.get("backend"), str):
            wanted["backend"] = self._index(wanted["backend"])
        tests = [(getattr(self, name), v if callable(v) else partial(eq, v)) for name, v in wanted.items()]
        rows = [i for i in range(len(self)) if all(test(column[i]) for column, test in tests)]
        found = {
            name: array(column.typecode, (column[i] for i in rows)) for name, column in self.columns.items()
        }
        of_all = (
            "wasted",
            "resent",
            "attempt_counts",
            "attempt_events",
            "fetched",
            "layers",
            *RECORDED,
        )  # says nothing about these rows
        extra = {name: value for name, value in self.extra.items() if name not in of_all}
        return Result(self.experiment, self.engine, found, extra)

    def latencies(self, backend: str | None = None) -> list[float]:
        """Return the latencies of the good answers in seconds, sorted; of one backend if named.

        Raises ValueError for an unknown backend."""
        if backend is None:
            return self._latencies
        index = self._index(backend)
        rows = zip(self.ok, self.backend, self.latency, strict=True)
        return sorted(latency for ok, b, latency in rows if ok and b == index)

    def _index(self, backend: str) -> int:
        if backend not in self.backends:
            near = did_you_mean(str(backend), self.backends)
            raise ValueError(f"no backend {shown(backend)}: there are {', '.join(self.backends)}{near}")
        return self.backends.index(backend)

    @cached_property
    def _good(self) -> list[float]:
        """The latencies of the good answers, in the order of the rows."""
        return good_latencies(self.arrival, self.end, self.status, self.experiment.traffic.warmup)

    @cached_property
    def _latencies(self) -> list[float]:
        return sorted(self._good)

    # -- numbers ------------------------------------------------------------------------

    @property
    def mean(self) -> float:
        """Mean latency of the good answers; nan if there are none."""
        return mean(self._good)

    def mean_of(self, column: str) -> float:
        """Return the mean of a column, such as "waiting" or "slowdown", over the good answers.

        Rows without a value are left out; nan if there is none."""
        return mean(compress(getattr(self, column), self.ok))

    def percentile(self, q: float, backend: str | None = None) -> float:
        """Return the latency in seconds that `q` % of the good answers do not exceed; nan without any.

        `backend`: of its answers only. Raises ValueError for an unknown one."""
        return percentile(self.latencies(backend), q)

    @cached_property
    def goodput(self) -> float:
        """Good answers a second that ended in the window, to clients that were still waiting."""
        start, stop = self.experiment.traffic.warmup, self.experiment.traffic.duration
        ends = compress(self.end, map(good, self.status))
        return sum(1 for end in ends if start <= end <= stop) / self.window

    @cached_property
    def throughput(self) -> float:
        """Good answers a second that ended in the window, whenever their requests arrived.

        It includes answers to clients that had left; `goodput` does not."""
        start, stop = self.experiment.traffic.warmup, self.experiment.traffic.duration
        vain = sum(1 for work in self.wasted if work.answered and start <= work.end <= stop)
        return self.goodput + vain / self.window

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
    def cache_counts(self) -> dict[str, int]:
        """Counted requests by how the cache has served them: the names of `lbkit.caching.Served`.

        Raises ValueError without a cache."""
        if "cache" not in self.columns:
            raise ValueError('the experiment has no cache: use Caching("max-age=60")')
        found = Counter(compress(self.cache, self.counted))
        return {how.name.lower(): found[how] for how in Served}

    @property
    def hit_rate(self) -> float:
        """Share of the counted requests that the cache answered at once, by stale answers, too.

        Raises ValueError without a cache."""
        counts = self.cache_counts
        return (counts["hit"] + counts["stale"]) / (sum(counts.values()) or 1)

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

        `by_capacity` divides each count by the server's capacity. Without a good answer there is nothing to
        judge: nan."""
        if not any(self.ok):
            return nan
        load = [self.counts[s.name] / (s.capacity if by_capacity else 1.0) for s in self.experiment.leaves]
        return jain(load)

    @cached_property
    def utilisation(self) -> dict[str, float]:
        """Busy share of each server's workers within the window."""
        t0, t1 = self.experiment.traffic.warmup, self.experiment.traffic.duration
        busy = [0.0] * (len(self.backends) + 1)
        for backend, start, work in zip(self.backend, self.start, self.service, strict=True):
            if work > 0:
                busy[backend] += max(0.0, min(start + work, t1) - max(start, t0))
        for lost in self.wasted:
            busy[self.backends.index(lost.backend)] += max(0.0, min(lost.end, t1) - max(lost.start, t0))
        for i, server in enumerate(self.experiment.leaves):
            if server.discipline == PROCESSOR_SHARING:  # shared work takes longer than its service time
                back = server.delay + server.delay_jitter
                rows = zip(self.backend, self.start, self.end, self.service, strict=True)
                stays = [
                    (start, max(start, end - back)) for b, start, end, work in rows if b == i and work > 0
                ]
                stays += [(lost.start, lost.end) for lost in self.wasted if lost.backend == server.name]
                busy[i] = busy_time(stays, server.workers, t0, t1)
        return {
            s.name: time / (s.workers * self.window)
            for s, time in zip(self.experiment.leaves, busy, strict=False)
        }

    def in_flight(self, step: float) -> tuple[list[float], dict[str, list[int]]]:
        """Return times, every `step` seconds, and the requests in the system at each, by backend.

        Raises ValueError for a step that is not above 0, or so short that there are too many."""
        last = max(self.end, default=0.0)
        times = [i * step for i in range(floor(_steps(last, step)) + 1)]
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
        """Return the start of each step, and `of` the good latencies of requests that arrived in it.

        Raises ValueError for a step that is not above 0, or so short that there are too many."""
        steps = _steps(self.experiment.traffic.duration, step)
        buckets: list[list[float]] = [[] for _ in range(max(1, ceil(steps - 1e-9)))]
        rows = zip(self.arrival, self.end, self.status, strict=True)
        for arrival, end, status in rows:
            if good(status):
                buckets[min(floor(arrival / step), len(buckets) - 1)].append(end - arrival)
        return [i * step for i in range(len(buckets))], [of(b) if b else float("nan") for b in buckets]

    def littles_law(self) -> tuple[float, float]:
        """Return L and lambda x W, which are equal in a steady state, for any policy. (Little, 1961.)

        L is the time average of the requests in the system over the window, lambda the rate of arrivals in
        it, and W their mean latency. The two differ by the requests that cross an edge of the window: little
        in a long run, and much if queues grow."""
        traffic = self.experiment.traffic
        level = mean_level(self.arrival, self.end, traffic.warmup, traffic.duration)
        return level, sum(compress(self.latency, self.counted)) / self.window  # (n / T) x (sum / n)

    def summary(self) -> dict[str, Any]:
        """Return the numbers for a comparison: seconds, requests a second, shares."""
        return {
            "policy": self.policy,
            "engine": self.engine,
            "requests": self.requests,
            "throughput": self.throughput,
            "goodput": self.goodput,
            "error_rate": self.error_rate,
            "mean": self.mean,
            "waiting": self.mean_of("waiting"),
            "slowdown": self.mean_of("slowdown"),
            **{f"p{q:g}": self.percentile(q) for q in PERCENTILES},
            "fairness": self.fairness(),
            "fairness_by_capacity": self.fairness(by_capacity=True),
            "busiest": max(self.utilisation.values()),
        }

    # -- text ---------------------------------------------------------------------------

    def __repr__(self) -> str:
        doubts = "".join(f"\n  warning: {text}" for text in self.warnings)
        return (
            f"<Result {self.policy} on {self.engine}: {self.requests} requests, "
            f"mean {duration(self.mean)}, p99 {duration(self.percentile(99))}, "
            f"{self.error_rate:.2%} errors{self._attempts_in_words()}>{doubts}"
        )

    def _repr_html_(self) -> str:
        return table([self])


class Results(list[Result]):
    """Results side by side; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        return table(self)


def _steps(length: float, step: float) -> float:
    """Return how many steps there are in `length` seconds. Raises ValueError for more than MOST_STEPS."""
    number(max(length / MOST_STEPS, TINY_STEP), step=step)
    return length / step

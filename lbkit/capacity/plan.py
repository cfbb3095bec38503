"""Searches for the smallest number of servers that is enough, by simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from math import floor
from typing import Any

from lbkit.capacity.capacity import Capacity, Step
from lbkit.capacity.scaled import alike, in_use, scaled, with_servers
from lbkit.core.options import named_options, number, whole
from lbkit.experiment import Experiment, check_experiment
from lbkit.jobs import Job
from lbkit.stats import PERCENTILES, interval, student_t
from lbkit.sweep import gather
from lbkit.table import duration

Progress = Callable[[str], object]

FEW = 3  # seeds
MEASURES = {"busiest", "error_rate"}


@named_options
def servers_needed(
    experiment: Experiment,
    limit: float = 0.2,
    quantile: float = 0.99,
    scale: float = 2.0,
    *,
    seeds: int = 10,
    most: int = 1000,
    confidence: float = 0.95,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Capacity:
    """Return the smallest number of servers for which a quantile of latency is below `limit` seconds.

    >>> log = read_log("access.log")
    >>> servers_needed(log.played_on(Experiment(servers(4))), limit=0.2, scale=2.0)

    `scale`: how many times the experiment's traffic will come. Servers are added as copies of the present
    ones (`with_servers`), and each number is simulated with up to `seeds` seeds. It is enough if the upper
    end of the quantile's confidence interval is below the limit, and at most 1 - quantile of the requests
    fail. As more servers make nothing slower, the search doubles its steps and then halves them.

    `most`: servers to try at most. `progress` is called with a line for each number.

    Raises ValueError for a limit that no number of servers reaches, as the service alone takes longer; if
    `most` are not enough; and for wrong options. SweepError when a run fails."""
    check_experiment(experiment)
    number(0, above=True, limit=limit)
    number(0, 1e6, above=True, scale=scale)
    whole(2, seeds=seeds)
    whole(1, most=most)
    student_t(confidence, 1)
    name = _measure(quantile)
    _check_possible(experiment, limit, quantile, name)
    numbers = range(experiment.seed, experiment.seed + seeds)
    by_seed = [scaled(experiment.but(seed=seed), scale) for seed in numbers]
    trial = _Trial(by_seed, limit, 1 - quantile, name, confidence, executor, progress or (lambda line: None))
    servers = _smallest(trial.enough, _least(by_seed[0]), most)
    if servers is None:
        found = trial.steps[max(trial.steps)]
        raise ValueError(
            f"most is {most}: so many servers are not enough for a {name} below {duration(limit)}"
            f" ({_line(found, name)}); use more, or another limit"
        )
    servers = trial.confirmed(servers)
    left, survives = trial.failing_one(servers, most)
    steps = tuple(trial.steps[n, False] for n in sorted(n for n, failed in trial.steps if not failed))
    return Capacity(experiment, limit, quantile, scale, seeds, servers, steps, left, survives)


@dataclass
class _Trial:
    """The numbers of servers that were tried. Three seeds show which are far from the answer; the others,
    and in the end the answer and the number below it, get all seeds."""

    by_seed: Sequence[Experiment]
    limit: float  # of the latency
    failing: float  # share of the requests that may
    name: str  # of the quantile
    confidence: float
    executor: Executor | None
    progress: Progress
    # By the number of servers, and whether one of them has failed.
    rows: dict[tuple[int, bool], list[Mapping[str, Any]]] = field(default_factory=dict)
    steps: dict[tuple[int, bool], Step] = field(default_factory=dict)

    def enough(self, servers: int, failed: bool = False) -> bool:
        found = self.step(servers, FEW, failed)
        if not self._clear(found):
            found = self.step(servers, len(self.by_seed), failed)
        return self._good(found)

    def confirmed(self, servers: int) -> int:
        """Return the smallest number that is enough by all seeds, near one that is by a few."""
        every = len(self.by_seed)
        while servers > 1 and self._good(self.step(servers - 1, every)):
            servers -= 1
        while not self._good(self.step(servers, every)):
            servers += 1
        return servers

    def failing_one(self, servers: int, most: int) -> tuple[Step | None, int | None]:
        """Return what is left of so many servers when one fails, and the number of which any one may fail:
        None if it is not among those up to `most`.

        Of servers that are alike, it is no matter which fails: one fewer was tried already."""
        if alike(self.by_seed[0]):
            return (self.step(servers - 1, len(self.by_seed)) if servers > 1 else None), servers + 1
        every = len(self.by_seed)
        left = self.step(servers, every, failed=True) if servers > 1 else None
        return left, _smallest(partial(self.enough, failed=True), max(servers, 2), max(servers, 2, most))

    def _good(self, step: Step) -> bool:
        if step.latency is None or step.failed is None:
            return False
        return step.latency.high < self.limit and step.failed.high <= self.failing

    def _clear(self, step: Step) -> bool:
        """Return whether both limits are outside the intervals, so that more seeds would say the same."""
        if step.latency is None or step.failed is None:
            return True
        return self.limit not in step.latency and self.failing not in step.failed

    def step(self, servers: int, seeds: int, failed: bool = False) -> Step:
        """Return what is known of a number of servers, perhaps less one, after so many seeds, or more."""
        key = (servers, failed)
        planned = [with_servers(experiment, servers, failed) for experiment in self.by_seed[:seeds]]
        load = planned[0].load
        if load is not None and load >= 1 and not _aside(planned[0]):
            self.steps[key] = Step(servers, load)
            return self.steps[key]
        rows = self.rows.setdefault(key, [])
        if missing := planned[len(rows) :]:
            rows += self._run(servers, missing)
            means = {m: interval((row[m] for row in rows), self.confidence) for m in MEASURES | {self.name}}
            latency, busiest, errors = (means[m] for m in (self.name, "busiest", "error_rate"))
            self.steps[key] = Step(servers, load, latency, busiest, errors)
            self.progress(_line(self.steps[key], self.name, failed))
        return self.steps[key]

    def _run(self, servers: int, planned: Sequence[Experiment]) -> Sequence[Mapping[str, Any]]:
        def jobs() -> Iterator[Job]:
            for place, experiment in enumerate(planned):
                yield Job(place, experiment, {"servers": servers, "seed": experiment.seed})

        table = gather(jobs, len(planned), ("servers", "seed"), self.executor, False)
        if not table.complete:
            raise KeyboardInterrupt
        return table.rows


def _measure(quantile: float) -> str:
    """Return the name that runs give a quantile, such as "p99"."""
    if quantile not in [q / 100 for q in PERCENTILES]:
        known = ", ".join(f"{q / 100:g}" for q in PERCENTILES)
        raise ValueError(f"quantile is {quantile!r}: use one of {known}")
    return f"p{100 * quantile:g}"


def _check_possible(experiment: Experiment, limit: float, quantile: float, name: str) -> None:
    """Raise ValueError if the fastest server takes longer even when nothing waits for it."""
    if experiment.cache or experiment.routing:
        return  # some answers need no server
    alone = min(s.service.quantile(quantile) / s.speed + 2 * s.delay for s in in_use(experiment))
    if alone >= limit:
        raise ValueError(
            f"limit is {limit:g} s: the {name} of the service alone is {duration(alone)} on the fastest"
            " server, so no number of servers is enough; use faster servers, or a higher limit"
        )


def _least(experiment: Experiment) -> int:
    """Return the first number of servers to try: one below it cannot do the work that comes."""
    load, count = experiment.load, len(in_use(experiment))
    if load is None or _aside(experiment):
        return 1
    return max(1, floor(load * count / _unevenness(experiment)) + 1)


def _aside(experiment: Experiment) -> bool:
    """Return whether some requests may never reach a server, so that the load says less."""
    return bool(experiment.cache or experiment.routing or experiment.limits or experiment.admission)


def _unevenness(experiment: Experiment) -> float:
    """Return how much faster the fastest server is than the mean: so far fewer of them may do."""
    capacities = [s.capacity for s in in_use(experiment)]
    return max(capacities) * len(capacities) / sum(capacities)


def _smallest(enough: Callable[[int], bool], least: int, most: int) -> int | None:
    """Return the smallest number from `least` to `most` that is enough; None if none is.

    In steps that double, as numbers below the answer cost the least to simulate, and back in halves."""
    low, high, step = least - 1, min(least, most), 1
    while not enough(high):
        if high >= most:
            return None
        low, high, step = high, min(high + step, most), 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _line(step: Step, name: str, failed: bool = False) -> str:
    found = "a load of 1 and more" if step.latency is None else f"{name} {duration(step.latency)}"
    noun = "server" if step.servers == 1 else "servers"
    return f"{step.servers} {noun}{' less one' if failed else ''}: {found}"

"""Which algorithm for which system: a table made by experiment, with intervals, not by opinion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import log, nan
from typing import Any, NamedTuple

from attrs import field, frozen

from lbkit.checks import one_of, text
from lbkit.core.balance import Balancer
from lbkit.core.options import named_fields
from lbkit.core.text import did_you_mean, shown
from lbkit.experiment import Experiment, Policy
from lbkit.gameday.seeds import numbered
from lbkit.replicate import HIGHER, Comparison, Replication
from lbkit.result import Result
from lbkit.run import run
from lbkit.stats import Interval
from lbkit.table import duration, html, number

Measure = Callable[[Result], float]
SHARE = number(".1f", 100)


def cold(result: Result) -> float:
    """Return the share of the counted requests that reach a server which has not had that path before.

    So many would miss if each server were a cache."""
    seen: set[tuple[int, int]] = set()
    missed = 0
    for counted, backend, path in zip(result.counted, result.backend, result.path, strict=True):
        missed += counted and (backend, path) not in seen
        seen.add((backend, path))
    return missed / (result.requests or 1)


class Need(NamedTuple):
    """A measure that counts: what it is called, how it is written, and how it is computed.

    `ratios`: whether algorithms are compared by their ratio, as latencies of slow ones also differ more."""

    title: str
    write: Callable[[Any], str]
    measure: Measure
    ratios: bool = False


# Of all of them less is better, but of those in HIGHER.
NEEDS = {
    "mean": Need("mean latency", duration, lambda result: result.mean, ratios=True),
    "p99": Need("p99 latency", duration, lambda result: result.percentile(99), ratios=True),
    "error_rate": Need("errors, %", SHARE, lambda result: result.error_rate),
    "cold": Need("cache misses, %", SHARE, cold),
    "goodput": Need("good answers/s", number(".1f"), lambda result: result.goodput),
}


def _need(instance: Any, attribute: Any, value: Any) -> None:
    if value not in NEEDS:
        near = did_you_mean(str(value), NEEDS)
        raise ValueError(f"{attribute.name} is {shown(value)}: use one of {', '.join(NEEDS)}{near}")


@named_fields
@frozen
class System:
    """A system and what it needs: an experiment, and the measure that counts there (a key of NEEDS).

    The experiment's algorithm is replaced by each that is tried; all else of its policy stays."""

    experiment: Experiment = field(validator=one_of(Experiment))
    needs: str = field(default="p99", validator=_need)
    about: str = field(default="", validator=text())


class DecisionTable(Mapping[str, Comparison]):
    """By system, the algorithms on the same requests: `table["shop"]["random"]["p99"]` is an Interval."""

    def __init__(self, systems: Mapping[str, System], found: Mapping[str, Comparison]) -> None:
        self.systems = dict(systems)
        self._found = dict(found)

    def __getitem__(self, system: str) -> Comparison:
        try:
            return self._found[system]
        except KeyError:
            near = did_you_mean(str(system), self._found)
            raise KeyError(f"no system {system!r}: there are {', '.join(self._found)}{near}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    @property
    def algorithms(self) -> list[str]:
        """The algorithms that were tried, in order."""
        return list(next(iter(self._found.values())))

    def value(self, system: str, algorithm: str) -> Interval:
        """Return what counts in a system, under an algorithm."""
        return self[system][algorithm][self.systems[system].needs]

    def best(self, system: str) -> list[str]:
        """Return the algorithms that no other beats in a system, the best mean first: several if chance may
        have decided (95 % confidence of all statements together)."""
        needs = self.systems[system].needs
        found = self[system]
        return (_logarithms(found, needs) if NEEDS[needs].ratios else found).best(needs)

    def factor(self, system: str, algorithm: str) -> float:
        """Return how many times worse an algorithm's mean is than the best one's: 1 for the best; nan if that
        has 0."""
        best = self.value(system, self.best(system)[0]).mean
        mean = self.value(system, algorithm).mean
        over, under = (best, mean) if self.systems[system].needs in HIGHER else (mean, best)
        return over / under if under else nan

    def verdict(self, system: str) -> str:
        """Return in a sentence which algorithm the system should have, as far as the seeds can tell."""
        said = self.best(system)
        if len(said) == len(self.algorithms):
            return f"{system}: any of them; the seeds cannot tell them apart."
        return f"{system}: {' or '.join(said)}."

    def rows(self) -> Iterator[list[str]]:
        """Yield a row of texts for each algorithm, a cell for each system; a ✓ marks what no other beats."""
        best = {name: self.best(name) for name in self}
        for one in self.algorithms:
            cells = [
                f"{NEEDS[system.needs].write(self.value(name, one))}{' ✓' if one in best[name] else ''}"
                for name, system in self.systems.items()
            ]
            yield [one.replace("_", " "), *cells]

    @property
    def head(self) -> tuple[str, ...]:
        """The names of the columns: the systems, each with what counts there."""
        systems = (f"{name}: {NEEDS[system.needs].title}" for name, system in self.systems.items())
        return ("algorithm", *systems)

    def __repr__(self) -> str:
        return "\n".join(self.verdict(name) for name in self)

    def _repr_html_(self) -> str:
        seeds = len(next(iter(next(iter(self._found.values())).values())).seeds)
        means = f"mean of {seeds} seeds ± half of its 95% confidence interval"
        note = f"{means}; ✓: no other is better by more than chance explains"
        return html(self.head, self.rows(), ["algorithm"], [note])


def _logarithms(found: Comparison, needs: str) -> Comparison:
    """Return the comparison of the logarithms: their differences are ratios of the values."""
    return Comparison(
        Replication(
            name,
            {
                seed: {needs: log(values[needs]) if values[needs] > 0 else nan}
                for seed, values in one.values_by_seed.items()
            },
        )
        for name, one in found.items()
    )


def decision_table(
    systems: Mapping[str, System],
    algorithms: Iterable[Policy | str | type[Balancer]],
    seeds: int | Iterable[int] = 8,
) -> DecisionTable:
    """Simulate each system with each algorithm; return the table.

    `algorithms`: names, classes of your own, or policies, of which the algorithm and its options count.
    `seeds`: how many, from 1 on, or which. Raises ValueError for no systems, no algorithms, one twice, fewer
    than two seeds, and an algorithm that a system cannot have."""
    if not isinstance(systems, Mapping) or not systems:
        raise ValueError(f"systems is {shown(systems)}: use a table of names and systems")
    for name, system in systems.items():
        if not isinstance(system, System):
            raise ValueError(f"systems.{name} is {shown(system)}: use a System")
    chosen = [Policy.of(one) for one in algorithms]
    if not chosen:
        raise ValueError("algorithms is empty: name one or more")
    names = [policy.algorithm for policy in chosen]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise ValueError(f"algorithms has {twice!r} twice: name each once")
    numbers = numbered(seeds, 2)
    return DecisionTable(
        systems, {name: _compared(system, chosen, numbers) for name, system in systems.items()}
    )


def _compared(system: System, chosen: Iterable[Policy], seeds: Iterable[int]) -> Comparison:
    experiment, measure = system.experiment, NEEDS[system.needs].measure
    replications = []
    for policy in chosen:
        tried = experiment.but(policy=experiment.policy.using(policy.algorithm, policy.options))
        runs = {seed: run(tried.but(seed=seed)) for seed in seeds}
        values = {seed: {system.needs: measure(result)} for seed, result in runs.items()}
        replications.append(Replication(policy.algorithm, values))
    return Comparison(replications)

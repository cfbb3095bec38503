"""One experiment with several seeds: means with confidence intervals, and differences between policies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from itertools import product
from pathlib import Path
from typing import Any, overload

from lbkit.checks import several
from lbkit.core.balance import Balancer
from lbkit.core.options import named_options
from lbkit.core.text import did_you_mean, listed
from lbkit.experiment import Experiment, Policy, check_experiment
from lbkit.jobs import Job
from lbkit.rows import Table
from lbkit.run import require
from lbkit.stats import Interval, interval, student_t
from lbkit.sweep import gather
from lbkit.table import TABLE, TEXTS, html, number

Progress = bool | Callable[[int, int], object]
Policies = Policy | str | type[Balancer] | Iterable[Policy | str | type[Balancer]]

_COLUMNS = {key: (name, write) for name, (key, write) in TABLE.items() if name not in TEXTS}
HEAD = ("policy", *(name for name, _ in _COLUMNS.values()))  # the columns of a comparison
MAIN = ("policy", "req/s", "errors %", "mean", "p50", "p99", "p99.9", "busiest %")  # of these, the main ones

CHANCE = 0.2  # share of the runs that may look unsettled by chance

# The measures of which more is better.
HIGHER = {"throughput", "goodput", "availability", "fairness", "fairness_by_capacity"}


class Replication(Mapping[str, Interval]):
    """The measures of one policy over several seeds: `found["p99"]` is an Interval.

    `a - b` has the paired differences of two replications with the same seeds, which means with the same
    requests: what the requests of a seed have in common cancels out, and the interval is narrower."""

    def __init__(
        self, name: str, values: Mapping[int, Mapping[str, float]], confidence: float = 0.95
    ) -> None:
        """`values`: by seed, the measures."""
        self.name = name
        self.values_by_seed = {seed: dict(measures) for seed, measures in sorted(values.items())}
        self.confidence = confidence

    def __getitem__(self, measure: str) -> Interval:
        return interval(self.values_of(measure), self.confidence)

    def __iter__(self) -> Iterator[str]:
        return iter(next(iter(self.values_by_seed.values()), {}))

    def __len__(self) -> int:
        return len(list(iter(self)))

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.values_by_seed)

    def values_of(self, measure: str) -> list[float]:
        """Return a measure for each seed. Raises KeyError for an unknown one, naming those there are."""
        if measure not in set(self):
            near = did_you_mean(str(measure), self)
            raise KeyError(f"no measure {measure!r}: there are {', '.join(self)}{near}")
        return [measures[measure] for measures in self.values_by_seed.values()]

    def at(self, confidence: float) -> Replication:
        """Return the same with another level of confidence, such as 0.99."""
        return Replication(self.name, self.values_by_seed, confidence)

    def __sub__(self, other: Replication) -> Replication:
        """Raises ValueError if the seeds are not the same."""
        if self.seeds != other.seeds:
            raise ValueError("replications differ in their seeds: only the same ones can be paired")
        pairs = zip(self.values_by_seed.items(), other.values_by_seed.values(), strict=True)
        differences = {seed: {m: a[m] - b[m] for m in a} for (seed, a), b in pairs}
        return Replication(f"{self.name} - {other.name}", differences, self.confidence)

    def __repr__(self) -> str:
        numbers = ", ".join(
            f"{m} {self[m]}" for m in ("mean", "p99", "throughput", "error_rate") if m in self
        )
        return f"<Replication of {self.name}, {len(self.seeds)} seeds: {numbers}>"

    def _repr_html_(self) -> str:
        return Comparison([self])._repr_html_()


class Comparison(Mapping[str, Replication]):
    """Replications of several policies on the same requests: `found["random"]["p99"]` is an Interval."""

    def __init__(self, replications: Iterable[Replication]) -> None:
        self._by_name = {one.name: one for one in replications}

    def __getitem__(self, policy: str) -> Replication:
        try:
            return self._by_name[policy]
        except KeyError:
            near = did_you_mean(str(policy), self._by_name)
            raise KeyError(f"no policy {policy!r}: there are {', '.join(self._by_name)}{near}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Reasons to doubt the means, a line for each policy that has one."""
        lines = []
        for name, one in self.items():
            runs = round(sum(one.values_of("unsettled")))
            if runs > CHANCE * len(one.seeds):
                lines.append(
                    f"{name}: no steady state in {runs} of {len(one.seeds)} runs (queues may "
                    "still have been growing at the end), so a longer run would have other means"
                )
        return tuple(lines)

    def difference(self, measure: str, policy: str, other: str, confidence: float = 0.95) -> Interval:
        """Return how much more `policy` has of a measure than `other`: the mean of paired differences.

        The difference is real, at this confidence, if 0 is not in the interval."""
        return (self[policy] - self[other]).at(confidence)[measure]

    def beats(self, policy: str, other: str, measure: str = "p99", confidence: float = 0.95) -> bool:
        """Return whether `policy` is better than `other` by more than chance explains.

        Better is less, but for throughput and fairness."""
        found = self.difference(measure, policy, other, confidence)
        return found.low > 0 if measure in HIGHER else found.high < 0

    def best(self, measure: str = "p99", confidence: float = 0.95) -> list[str]:
        """Return the policies that no other beats, the best mean first: several if chance may have decided.

        The confidence is that of all statements together (Bonferroni)."""
        pairs = max(1, len(self) - 1)
        one = 1 - (1 - confidence) / pairs
        ranked = sorted(self, key=lambda name: self[name][measure].mean, reverse=measure in HIGHER)
        return [name for name in ranked if name == ranked[0] or not self.beats(ranked[0], name, measure, one)]

    def verdict(self, measure: str = "p99", confidence: float = 0.95) -> str:
        """Return in a sentence which policy has the best of a measure, as far as the seeds can tell."""
        first, *equal = self.best(measure, confidence)
        seeds = f"{len(self[first].seeds)} seeds"
        if equal and len(equal) + 1 == len(self):
            return f"{seeds} cannot tell the {measure} of {listed([first, *equal])} apart."
        most, more, sign = ("highest", "less", -1) if measure in HIGHER else ("lowest", "more", 1)
        parts = [f"{first} has the {most} {measure}, {_text(measure, self[first][measure])}"]
        for name in self:
            if name != first and name not in equal:
                gap = self.difference(measure, *((name, first) if sign > 0 else (first, name)), confidence)
                parts.append(f"{name} has {_text(measure, gap)} {more}")
        if equal:
            parts.append(f"{seeds} cannot tell {listed(equal)} from it")
        return "; ".join(parts) + "."

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.values()))

    def table(self, notes: Iterable[str] = (), columns: Iterable[str] = MAIN) -> str:
        """Return an HTML table of these columns, with `notes` below it."""
        names = list(columns)
        body = (dict(zip(HEAD, row, strict=True)) for row in cells(self.values()))
        lines = [caption(list(self.values())), *(f"\u26a0 {note}" for note in (*self.warnings, *notes))]
        return html(names, ([row[name] for name in names] for row in body), ["policy"], lines)

    def _repr_html_(self) -> str:
        """Return the main columns, which fit a small screen; `table(columns=HEAD)` has all."""
        return self.table()


@overload
def replicate(
    experiment: Experiment,
    n: int = ...,
    policies: None = ...,
    *,
    on: str = ...,
    confidence: float = ...,
    executor: Executor | None = ...,
    progress: Progress = ...,
    keep: str | Path | None = ...,
) -> Replication: ...


@overload
def replicate(
    experiment: Experiment,
    n: int = ...,
    policies: Policies = ...,
    *,
    on: str = ...,
    confidence: float = ...,
    executor: Executor | None = ...,
    progress: Progress = ...,
    keep: str | Path | None = ...,
) -> Comparison: ...


@named_options
def replicate(
    experiment: Experiment,
    n: int = 20,
    policies: Policies | None = None,
    *,
    on: str = "sim",
    confidence: float = 0.95,
    executor: Executor | None = None,
    progress: Progress = False,
    keep: str | Path | None = None,
) -> Replication | Comparison:
    """Run an experiment with `n` seeds; return each measure as a mean with its confidence interval.

    >>> replicate(experiment, 20)["p99"]
    >>> replicate(experiment, 20, ["random", "power_of_two"]).verdict("p99")

    With `policies`, a Comparison of them: all get the same requests from the same seed, so that their
    differences are paired. The seeds are the experiment's own and those that follow. `on`: another engine
    than the simulator runs one after the other. `executor`, `progress` and `keep` as in `sweep`. An interrupt
    leaves the seeds that all policies have finished.

    Raises ValueError for fewer than two seeds, EngineError, and SweepError when a run fails."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 2:
        raise ValueError(
            f"n is {n!r}: use a whole number of at least 2, as one seed says nothing of the spread"
        )
    check_experiment(experiment)
    student_t(confidence, 1)
    require(on)
    chosen: tuple[Any, ...] = several(experiment.policy if policies is None else policies)
    if not chosen:
        raise ValueError("policies is empty: name one or more")
    tried = [Policy.of(one) for one in chosen]
    names = _names(tried)
    seeds = range(experiment.seed, experiment.seed + n)

    def jobs() -> Iterator[Job]:
        # Seed by seed: what an interrupt leaves can be compared.
        for place, (seed, (name, policy)) in enumerate(product(seeds, zip(names, tried, strict=True))):
            yield Job(place, experiment.but(policy=policy, seed=seed), {"seed": seed, "policy": name})

    varied = ("seed", "policy")
    table = gather(jobs, n * len(tried), varied, executor, progress, keep=keep, on=on)
    found = _comparison(table, names, confidence)
    return found if policies is not None else found[names[0]]


def _comparison(table: Table, names: list[str], confidence: float) -> Comparison:
    """Return the replications of the seeds that all policies have."""
    rows: dict[str, dict[int, Mapping[str, float]]] = {name: {} for name in names}
    for row in table:
        rows[row["policy"]][row["seed"]] = {m: v for m, v in row.items() if m not in table.varied}
    common = set.intersection(*(set(by_seed) for by_seed in rows.values()))
    return Comparison(
        Replication(name, {seed: by_seed[seed] for seed in common}, confidence)
        for name, by_seed in rows.items()
    )


def _names(policies: list[Policy]) -> list[str]:
    """Return a name for each policy: its algorithm, with a number where several have the same."""
    names: list[str] = []
    for policy in policies:
        same = sum(name.partition(" ")[0] == policy.algorithm for name in names)
        names.append(f"{policy.algorithm} {same + 1}" if same else policy.algorithm)
    return names


def _text(measure: str, value: Interval) -> str:
    """Return a value with its unit, as people say it."""
    name, write = _COLUMNS.get(measure, (measure, number(".4g")))
    return write(value) + (" %" if name.endswith("%") else "")


def cells(replications: Iterable[Replication]) -> list[list[str]]:
    """Return a row of texts for each replication: its policy, and the measures as mean ± half."""
    return [[one.name, *(write(one[key]) for key, (_, write) in _COLUMNS.items())] for one in replications]


def caption(replications: Sequence[Replication]) -> str:
    """Return what the numbers in `cells` are."""
    first = replications[0]
    return f"mean of {len(first.seeds)} seeds ± half of its {first.confidence:.0%} confidence interval"

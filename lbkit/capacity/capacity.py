"""What capacity planning comes to: a number of servers, with what it rests on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lbkit.capacity.scaled import alike, scaled, with_servers
from lbkit.experiment import Experiment
from lbkit.stats import Interval
from lbkit.table import duration, html, number

NOT_TRIED = "-"


@dataclass(frozen=True, slots=True)
class Step:
    """What was found for a number of servers, as means over the seeds.

    `load`: offered work over capacity; None in a closed loop, which adapts. `latency`: the quantile in
    seconds, of good answers; None where the load is 1 or more, as queues grow without end then, so it is not
    simulated. `busiest`: the busy share of the busiest server. `failed`: share of requests without a good
    answer."""

    servers: int
    load: float | None
    latency: Interval | None = None
    busiest: Interval | None = None
    failed: Interval | None = None


@dataclass(frozen=True)
class Capacity:
    """How many servers an objective needs: a quantile of latency below `limit` seconds, at `scale` times the
    traffic of `experiment`. `servers` is the smallest number for which the upper end of the quantile's
    confidence interval is below the limit, and no more than the share 1 - quantile of requests fails."""

    experiment: Experiment  # as it was given
    limit: float
    quantile: float
    scale: float
    seeds: int
    servers: int
    steps: tuple[Step, ...]  # those that were tried, in order of their numbers
    without_one: Step | None  # when the server that does the most fails; None if it is the only one
    # The number of servers of which any one may fail, n + 1 if all are alike; None: more than `most`.
    survives_one: int | None

    def __getitem__(self, servers: int) -> Step:
        """Return what was found for a number of servers. Raises KeyError for one that was not tried."""
        try:
            return next(step for step in self.steps if step.servers == servers)
        except StopIteration:
            tried = ", ".join(str(step.servers) for step in self.steps)
            raise KeyError(f"{servers} servers were not tried: there are {tried}") from None

    @property
    def interval(self) -> Interval:
        """The quantile with the recommended number of servers, in seconds."""
        found = self[self.servers].latency
        assert found is not None
        return found

    @property
    def at_least(self) -> int:
        """The smallest number that the seeds do not rule out: with fewer, even the lower end of the interval
        is above the limit."""
        return min(step.servers for step in self.steps if self._possible(step))

    def _possible(self, step: Step) -> bool:
        if step.latency is None or step.failed is None:
            return False
        return step.latency.low < self.limit and step.failed.low <= 1 - self.quantile

    def experiment_with(self, servers: int, seed: int | None = None) -> Experiment:
        """Return the experiment at the planned traffic with a number of servers, as to run it live."""
        chosen = self.experiment if seed is None else self.experiment.but(seed=seed)
        return with_servers(scaled(chosen, self.scale), servers)

    @property
    def statement(self) -> str:
        """The answer in a sentence, with how sure it is."""
        goal = f"{self._name} below {duration(self.limit)} at {self.scale:g} times the traffic"
        sure = f"{self.interval.confidence:.0%} confidence, {self.seeds} seeds"
        if self.at_least == self.servers:
            fewer = self.servers - 1
            few = f", and {_counted(fewer)} {_are(fewer)} not" if fewer else ""
            return f"{_counted(self.servers)} {_are(self.servers)} enough for {goal}{few} ({sure})."
        return f"Probably {_counted(self.servers)}, at least {self.at_least}, for {goal} ({sure})."

    @property
    def failure(self) -> str:
        """What the failure of one server costs, in a sentence."""
        left = self.without_one
        worst = "one" if alike(self.experiment) else "the one that does the most"
        again = (
            f"with {_counted(self.survives_one)} one may fail"
            if self.survives_one
            else "no number of servers that was to be tried allows for that"
        )
        if left is None:
            return f"If it fails, nothing is left; {again}."
        if left.latency is None:
            return f"If {worst} fails, more work comes than the others can do, and queues grow; {again}."
        if self.survives_one == self.servers:
            again = "any one of them may fail"
        return f"If {worst} fails, the {self._name} is {duration(left.latency)}; {again}."

    @property
    def _name(self) -> str:
        return f"p{100 * self.quantile:g}"

    def __str__(self) -> str:
        return f"{self.statement} {self.failure}"

    def __repr__(self) -> str:
        return f"<Capacity: {self}>"

    def _repr_html_(self) -> str:
        below = "The interval is that of the mean over the seeds: it says nothing of days that are different."
        return html(self.head, self.rows(), ["enough"], [self.statement, self.failure, below])

    @property
    def head(self) -> tuple[str, ...]:
        """The names of the table's columns."""
        return ("servers", "load %", self._name, "busiest %", "errors %", "enough")

    def rows(self) -> Iterator[list[str]]:
        """Yield a line of the table for each number of servers that was tried."""
        share = number(".3g", 100)
        for step in self.steps:
            found = (step.latency, duration), (step.busiest, share), (step.failed, share)
            latency, busiest, failed = (NOT_TRIED if v is None else write(v) for v, write in found)
            load = NOT_TRIED if step.load is None else share(step.load)
            yield [str(step.servers), load, latency, busiest, failed, self.verdict(step)]

    def verdict(self, step: Step) -> str:
        """Return "yes", "perhaps" (the interval has the limit in it), or "no"."""
        if step.servers >= self.servers:
            return "yes"
        return "perhaps" if self._possible(step) else "no"


def _counted(number: int) -> str:
    return f"{number} server" if number == 1 else f"{number} servers"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"

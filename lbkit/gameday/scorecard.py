"""The game days of several designs, measured and compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lbkit.columns import good
from lbkit.core.text import did_you_mean, listed, shown
from lbkit.gameday.company import Company
from lbkit.gameday.design import Design
from lbkit.gameday.incident import Incident
from lbkit.gameday.measures import MEASURES
from lbkit.gameday.seeds import numbered
from lbkit.replicate import Comparison, Replication
from lbkit.result import Result
from lbkit.run import run
from lbkit.stats import Interval, interval, jain
from lbkit.table import html

CALM = "calm"  # the time without an incident
AFTER = 1.0  # seconds after an incident that count as its own: what it left in the queues
BETTER, WORSE, EQUAL = "better", "worse", "no difference"
SIGNS = {True: "✓", False: "✗", None: "?"}


@dataclass(frozen=True)
class GameDay:
    """One game day of one design."""

    company: Company
    design: Design
    result: Result

    @cached_property
    def customers(self) -> Result:
        """The requests of customers: all but the scraper's."""
        return self.result.where(client=lambda client: client != self.company.scraper)

    @cached_property
    def measures(self) -> dict[str, float]:
        """The scorecard's measures by name, in seconds, euros, requests a second and shares of 1.

        Availability is the share of customers' requests with a good answer, however often they had to click;
        latency begins with the first click. Fairness is Jain's index of the good answers by client, the
        scraper included: 1 if all clients get the same, 1/n if one gets all. (Jain and others, 1984.)"""
        result, customers = self.result, self.customers
        served = Counter(c for c, s in zip(result.client, result.status, strict=True) if good(s))
        return {
            "availability": 1 - customers.error_rate,
            "p99": customers.percentile(99),
            "cost": self.design.cost(self.company),
            "fairness": jain([served[client] for client in range(self.company.crowd + 1)]),
            "goodput": customers.goodput,
        }

    @cached_property
    def fates(self) -> list[tuple[float, bool]]:
        """When each of the customers' requests came, and whether it was let down: it got no good answer
        within the promised p99 (without such a promise, within the customers' patience)."""
        limit = self.company.promises.get("p99", self.company.patience.timeout)
        rows = self.customers
        fates = zip(rows.arrival, rows.latency, rows.status, strict=True)
        return [(arrival, not good(status) or latency > limit) for arrival, latency, status in fates]

    @cached_property
    def let_down(self) -> dict[str, float]:
        """By incident, and in calm times, the share of the customers' requests that were let down."""
        came: Counter[str] = Counter()
        lost: Counter[str] = Counter()
        for arrival, let_down in self.fates:
            when = self._incident_at(arrival)
            came[when] += 1
            lost[when] += let_down
        names = [*(title_of(self.company, one) for one in self.company.incidents), CALM]
        return {name: lost[name] / came[name] if came[name] else 0.0 for name in names}

    def _incident_at(self, second: float) -> str:
        for one in self.company.incidents:
            if one.start <= second < one.end + AFTER:
                return title_of(self.company, one)
        return CALM


def title_of(company: Company, incident: Incident) -> str:
    """Return an incident's title, with its start where there are several of its kind."""
    twins = sum(one.kind == incident.kind for one in company.incidents)
    return f"{incident.title}, {incident.start:g} s" if twins > 1 else incident.title


def play(company: Company, design: Design, seed: int = 1, on: str = "sim", **options: Any) -> GameDay:
    """Run the company's game day with a design, in the simulator or on real sockets (`on="live"`).

    `options`: the engine's. Raises ValueError for a design that does not fit, and what `run` raises."""
    return GameDay(company, _design(design), run(design.experiment(company, seed), on, **options))


def _design(what: object, name: str = "design") -> Design:
    if not isinstance(what, Design):
        raise ValueError(f"{name} is {shown(what)}: use a Design")
    return what


class Scorecard(Mapping[str, Replication]):
    """Designs on the same game days: `card["mine"]["p99"]` is an Interval over the seeds.

    All designs get the same requests from the same seed, so that their differences are paired."""

    def __init__(self, company: Company, days: Mapping[str, list[GameDay]]) -> None:
        """`days`: by design, one for each seed, the same seeds for all."""
        self.company = company
        self.days = {name: [*each] for name, each in days.items()}
        self.comparison = Comparison(
            Replication(name, {day.result.experiment.seed: day.measures for day in each})
            for name, each in self.days.items()
        )

    def __getitem__(self, design: str) -> Replication:
        if design not in self.days:
            near = did_you_mean(str(design), self.days)
            raise KeyError(f"no design {design!r}: there are {', '.join(self.days)}{near}")
        return self.comparison[design]

    def __iter__(self) -> Iterator[str]:
        return iter(self.days)

    def __len__(self) -> int:
        return len(self.days)

    def kept(self, design: str, measure: str) -> bool | None:
        """Return whether a design keeps a promise: the whole interval does. None if the seeds cannot tell.

        Raises KeyError for a measure without a promise."""
        limit, found = self.company.promises[measure], self[design][measure]
        if MEASURES[measure].higher:
            return True if found.low >= limit else False if found.high < limit else None
        return True if found.high <= limit else False if found.low > limit else None

    def promises_kept(self, design: str) -> int:
        """Return how many of the company's promises a design surely keeps."""
        return sum(self.kept(design, measure) is True for measure in self.company.promises)

    def duel(self, design: str, other: str) -> dict[str, str]:
        """Return by measure whether `design` is better than `other`, worse, or of no difference that chance
        does not explain (95 % confidence each)."""
        pair = Comparison([self[design], self[other]])
        return {
            measure: BETTER
            if pair.beats(design, other, measure)
            else WORSE
            if pair.beats(other, design, measure)
            else EQUAL
            for measure in MEASURES
        }

    def let_down(self, design: str) -> dict[str, Interval]:
        """Return by incident the share of customers that a design lets down (see GameDay)."""
        days = self.days[self[design].name]
        return {name: interval(day.let_down[name] for day in days) for name in days[0].let_down}

    # -- text -----------------------------------------------------------------------------------

    def verdict(self, design: str) -> str:
        """Return how many promises a design keeps, and a line for each other design: in what this one is
        better, and in what worse."""
        said = []
        for other in self:
            if other == design:
                continue
            found = self.duel(design, other)
            won, lost = (
                [measure for measure, how in found.items() if how == which] for which in (BETTER, WORSE)
            )
            parts = [f"better in {listed(won)}"] if won else []
            parts += [f"worse in {listed(lost)}"] if lost else []
            said.append(f"Than {other!r} it is {', '.join(parts) or 'neither better nor worse'}.")
        kept = f"{design!r} keeps {self.promises_kept(design)} of {len(self.company.promises)} promises."
        return "\n".join([kept, *said])

    @property
    def head(self) -> tuple[str, ...]:
        return ("design", *(measure.title for measure in MEASURES.values()), "promises kept")

    def rows(self) -> Iterator[list[str]]:
        """Yield a row of texts for each design; a sign says whether a promise is kept."""
        for name in self:
            cells = [self._cell(name, measure) for measure in MEASURES]
            yield [name, *cells, f"{self.promises_kept(name)} of {len(self.company.promises)}"]

    def _cell(self, design: str, measure: str) -> str:
        value = self[design][measure]
        exact = value.half == 0 or value.count < 2
        written = MEASURES[measure].write(value.mean if exact else value)
        if measure not in self.company.promises:
            return written
        return f"{written} {SIGNS[self.kept(design, measure)]}"

    def __repr__(self) -> str:
        return "\n".join("  ".join(row) for row in (self.head, *self.rows()))

    def _repr_html_(self) -> str:
        seeds = len(next(iter(self.days.values())))
        means = f"mean of {seeds} game days ± half of its 95% confidence interval"
        about = means if seeds > 1 else "one game day"
        return html(self.head, self.rows(), ["design"], [f"{about}; ✓ promise kept, ✗ broken, ? cannot tell"])


def scorecard(
    company: Company,
    designs: Mapping[str, Design],
    seeds: int | Iterable[int] = 5,
    on: str = "sim",
    **options: Any,
) -> Scorecard:
    """Run the game day of each design with some seeds; return the scorecard.

    `designs`: by name. `seeds`: how many, from 1 on, or which. `on`: the engine; another than the simulator
    takes the day's length for each run. Raises ValueError for a design that does not fit, and what `run`
    raises."""
    if not isinstance(designs, Mapping) or not designs:
        raise ValueError(f"designs is {shown(designs)}: use a table of names and designs")
    chosen = numbered(seeds, 1)
    checked = {name: _design(design, f"designs.{name}") for name, design in designs.items()}
    return Scorecard(
        company,
        {
            name: [play(company, design, seed, on, **options) for seed in chosen]
            for name, design in checked.items()
        },
    )

"""A rule: the conditions of an alert, and how long they have to hold before it fires."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from operator import gt, lt

from lbkit.core.options import number
from lbkit.core.text import shown
from lbkit.metrics.query import Query, Values
from lbkit.metrics.store import Store

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
COMPARISONS = {">": gt, "<": lt}


@dataclass(frozen=True)
class Condition:
    """A query, compared with a limit. Where it has values with labels, each is compared by itself.

    Raises ValueError for a comparison other than > and <, and for a limit that is no number."""

    query: Query
    comparison: str
    limit: float

    def __post_init__(self) -> None:
        if self.comparison not in COMPARISONS:
            raise ValueError(f"comparison is {shown(self.comparison)}: use {' or '.join(COMPARISONS)}")
        if not isfinite(self.limit):
            raise ValueError(f"limit is {self.limit}: use a number")

    def at(self, store: Store, at: float) -> Values:
        """Return the values that meet the condition. nan meets none."""
        holds = COMPARISONS[self.comparison]
        return {of: value for of, value in self.query.at(store, at).items() if holds(value, self.limit)}

    def promql(self) -> str:
        return f"{self.query.promql()} {self.comparison} {self.limit:g}"


@dataclass(frozen=True)
class Rule:
    """Fires while all conditions have held for `lasts` seconds, for each set of labels by itself.

    `severity`: page, for what has to be mended at once; ticket, for what can wait until the morning.
    Raises ValueError for a name that Prometheus does not take, no condition, or a negative `lasts`."""

    name: str
    conditions: tuple[Condition, ...]
    lasts: float = 0.0
    severity: str = "page"
    summary: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"name is {shown(self.name)}: use letters, digits and _ only, as in HighErrorRate"
            )
        if not self.conditions:
            raise ValueError(f"conditions of {self.name} are none: a rule needs at least one")
        number(0, lasts=self.lasts)

    def at(self, store: Store, at: float) -> Values:
        """Return the values of the first condition, where all hold."""
        first, *others = (condition.at(store, at) for condition in self.conditions)
        return {of: value for of, value in first.items() if all(of in other for other in others)}

    def at_limits(self, limits: Iterable[float]) -> list[Rule]:
        """Return this rule with other limits, each of all its conditions, and in its name: HighErrorRate_0_02
        for 0.02."""
        return [
            replace(
                self,
                name=re.sub(r"\W", "_", f"{self.name}_{limit:g}"),
                conditions=tuple(replace(one, limit=limit) for one in self.conditions),
                summary=f"{self.summary or self.name}, with a limit of {limit:g}",
            )
            for limit in limits
        ]

    def promql(self) -> str:
        return " and ".join(condition.promql() for condition in self.conditions)

"""Evaluates rules over metrics, at equal distances, as Prometheus does: inactive, pending, firing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lbkit.alerts.rule import Rule
from lbkit.core.options import number
from lbkit.metrics.store import Labels, Store


@dataclass(frozen=True)
class Alert:
    """One time that a rule's conditions held: from `pending` on; `firing` since, or None if it ended before;
    `resolved`: when they did not hold any more, or None if they did at the end. Seconds of the run."""

    rule: Rule
    labels: Labels
    pending: float
    firing: float | None
    resolved: float | None
    value: float  # the last one

    @property
    def fired(self) -> bool:
        return self.firing is not None

    def fires_at(self, at: float) -> bool:
        begun = self.firing is not None and self.firing <= at
        return begun and (self.resolved is None or at < self.resolved)


def evaluate(rules: Sequence[Rule], store: Store, every: float | None = None) -> list[Alert]:
    """Return all alerts over the whole time of a store, in the order in which they began.

    `every`: seconds between evaluations, from the first scrape on; as often as scrapes, if None.
    Raises ValueError for an interval that is not above 0; KeyError for a metric that the store lacks."""
    times = store.times
    if every is not None:
        number(0, above=True, every=every)
        count = int((times[-1] - times[0]) / every + 1e-9) + 1 if times else 0
        times = [times[0] + i * every for i in range(count)]  # type: ignore[assignment]
    found = [alert for rule in rules for alert in _alerts(rule, store, times)]
    return sorted(found, key=lambda alert: (alert.pending, alert.rule.name, alert.labels))


class Evaluation:
    """Evaluates one rule, a moment after the other: `active` alerts by labels."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.active: dict[Labels, Alert] = {}

    def step(self, store: Store, at: float) -> list[Alert]:
        """Evaluate it at a moment; return the alerts that end there."""
        rule, active = self.rule, self.active
        values = rule.at(store, at)
        ended = [replace(active.pop(of), resolved=at) for of in active.keys() - values.keys()]
        for of, value in values.items():
            alert = active.get(of) or Alert(rule, of, at, None, None, value)
            firing = alert.firing if alert.fired or at - alert.pending < rule.lasts else at
            active[of] = replace(alert, firing=firing, value=value)
        return ended


def _alerts(rule: Rule, store: Store, times: Sequence[float]) -> list[Alert]:
    evaluation = Evaluation(rule)
    ended = [alert for at in times for alert in evaluation.step(store, at)]
    return [*ended, *evaluation.active.values()]

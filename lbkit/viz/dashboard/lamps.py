"""The lamps of a dashboard: how each rule stands, and what is said when one begins or ends to fire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lbkit.alerts import Alert, Rule, few_workers_left, high_error_rate, high_latency, server_down
from lbkit.alerts.evaluate import Evaluation
from lbkit.experiment import Experiment
from lbkit.metrics.names import BOUNDS, SERVICE, Metric
from lbkit.metrics.store import Store

QUIET, PENDING, FIRING, NO_DATA = range(4)
STATES = ("quiet", "pending", "firing", "no data")
CHANGE, FIRES, OVER = "", "fires", "is over"  # kinds of notes
WINDOW, LASTS = 10.0, 5.0  # seconds, of the usual rules: a lesson is short, and so are they
SLOW = 10  # mean service times: a latency that is worth an alert


def usual_rules(experiment: Experiment, busy: Metric = SERVICE) -> list[Rule]:
    """Return the rules of a lesson of minutes: errors, latency, servers and capacity within seconds.

    `busy`: what tells how busy servers are; IN_FLIGHT for a proxy, which does not see them work."""
    mean = max(server.service.mean / server.speed for server in experiment.leaves)
    limit = next((bound for bound in BOUNDS if bound >= SLOW * mean), BOUNDS[-2])
    return [
        high_error_rate(window=WINDOW, lasts=LASTS),
        high_latency(limit, window=WINDOW, lasts=LASTS),
        server_down(lasts=LASTS),
        few_workers_left(window=WINDOW, lasts=LASTS, by=busy),
    ]


class Note(NamedTuple):
    """What happened at a second of the run: a change that was made, or an alert that fires or is over."""

    at: float
    what: str
    kind: str = CHANGE


class Lamps:
    """A lamp for each rule, by its state in STATES: that of its alert which is furthest."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = rules
        self.states = [NO_DATA] * len(rules)
        self._evaluations = [Evaluation(rule) for rule in rules]

    def step(self, store: Store, at: float) -> list[Note]:
        """Evaluate the rules at a moment; return what began or ended to fire."""
        notes: list[Note] = []
        for number, evaluation in enumerate(self._evaluations):
            fired = {of for of, alert in evaluation.active.items() if alert.fired}
            self.states[number], ended = _stepped(evaluation, store, at)
            begun = (alert for of, alert in evaluation.active.items() if alert.fired and of not in fired)
            notes += (Note(at, name(alert), FIRES) for alert in begun)
            notes += (Note(at, name(alert), OVER) for alert in ended if alert.fired)
        return notes

    @property
    def window(self) -> float:
        """The longest window of a rule, in seconds: what a store has to keep."""
        return max((seconds for rule in self.rules for seconds in windows(rule)), default=WINDOW)


def windows(rule: Rule) -> list[float]:
    """Return the windows of a rule's queries, in seconds."""
    found, left = [], [condition.query for condition in rule.conditions]
    while left:
        inside = vars(left.pop())
        found += [inside["window"]] if "window" in inside else []
        left += [part for part in inside.values() if hasattr(part, "promql")]
    return found


def _stepped(evaluation: Evaluation, store: Store, at: float) -> tuple[int, list[Alert]]:
    rule = evaluation.rule
    if any(set(condition.query.series) - set(store.names) for condition in rule.conditions):
        return NO_DATA, []
    ended = evaluation.step(store, at)
    if any(alert.fired for alert in evaluation.active.values()):
        return FIRING, ended
    if evaluation.active:
        return PENDING, ended
    known = all(condition.query.at(store, at) for condition in rule.conditions)
    return QUIET if known else NO_DATA, ended


def name(alert: Alert) -> str:
    """Return an alert's name: that of its rule, and what its labels say: "ServerDown (s1)"."""
    where = ", ".join(value for _, value in alert.labels)
    return f"{alert.rule.name} ({where})" if where else alert.rule.name

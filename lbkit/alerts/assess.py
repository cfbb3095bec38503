"""How good is a rule? What it notices of known incidents, how soon, and how often it fires without one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan
from statistics import median

from lbkit.alerts.evaluate import Alert, evaluate
from lbkit.alerts.rule import Rule
from lbkit.core.options import number
from lbkit.metrics.store import Store


@dataclass(frozen=True)
class Incident:
    """Something went wrong from `start` to `end`, in seconds of the run.

    Raises ValueError unless it ends after it starts."""

    name: str
    start: float
    end: float

    def __post_init__(self) -> None:
        number(self.start, above=True, end=self.end)


@dataclass(frozen=True)
class Assessment:
    """Of one rule. `delays`: seconds from the start of each incident that it noticed until it fired."""

    rule: Rule
    incidents: int
    delays: tuple[float, ...]
    alerts: int  # that fired, all of them
    false: int  # those that fired while there was no incident

    @property
    def recall(self) -> float:
        """The share of the incidents that it noticed; nan without any."""
        return len(self.delays) / self.incidents if self.incidents else nan

    @property
    def precision(self) -> float:
        """The share of its alerts that were about an incident; nan without any."""
        return 1 - self.false / self.alerts if self.alerts else nan

    @property
    def detection(self) -> float:
        """Seconds until it fired, the median; nan if it noticed nothing."""
        return median(self.delays) if self.delays else nan

    def to_dict(self) -> dict[str, float | str]:
        """Return the row of a table."""
        return {
            "rule": self.rule.name,
            "recall": self.recall,
            "precision": self.precision,
            "detection": self.detection,
            "alerts": self.alerts,
            "false alarms": self.false,
        }


def assess(
    rules: Sequence[Rule], runs: Iterable[tuple[Store, Sequence[Incident]]], grace: float = 60.0
) -> list[Assessment]:
    """Return how each rule does over runs, each with the incidents that were put into it.

    An alert is about an incident if it fires within it, or up to `grace` seconds after its end: windows
    remember. Raises ValueError for a negative `grace`."""
    number(0, grace=grace)
    known = list(runs)
    return [_assessed(rule, known, grace) for rule in rules]


def _assessed(rule: Rule, runs: Sequence[tuple[Store, Sequence[Incident]]], grace: float) -> Assessment:
    delays: list[float] = []
    alerts = false = count = 0
    for store, incidents in runs:
        fired = [alert for alert in evaluate([rule], store) if alert.fired]
        alerts += len(fired)
        count += len(incidents)
        false += sum(not any(_about(alert, one, grace) for one in incidents) for alert in fired)
        for incident in incidents:
            times = [alert.firing for alert in fired if _about(alert, incident, grace)]
            if times:
                delays.append(min(at for at in times if at is not None) - incident.start)
    return Assessment(rule, count, tuple(delays), alerts, false)


def _about(alert: Alert, incident: Incident, grace: float) -> bool:
    assert alert.firing is not None
    return incident.start <= alert.firing <= incident.end + grace

"""How good is a rule? What it notices of known incidents, how soon, and how often it fires without one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from statistics import median
from typing import Any, overload

from lbkit.alerts.evaluate import Alert, evaluate
from lbkit.alerts.rule import Rule
from lbkit.core.options import number
from lbkit.metrics.store import Store
from lbkit.table import html
from lbkit.table import number as as_text

DAY = 86400.0  # seconds


@dataclass(frozen=True)
class Incident:
    """Something went wrong from `start` to `end`, in seconds of the run.

    `actionable`: whether somebody has to do something about it. A spike that is over in a minute is no
    incident to wake anybody for: an alert about it is a false one. Raises ValueError unless it ends after it
    starts."""

    name: str
    start: float
    end: float
    actionable: bool = True

    def __post_init__(self) -> None:
        number(self.start, above=True, end=self.end)


@dataclass(frozen=True)
class Noticed:
    """An incident that a rule noticed: `delay` seconds after its start; `reset` seconds after its end the
    last alert about it was over, 0 if before, nan if it was not at the end of the run."""

    incident: Incident
    delay: float
    reset: float


@dataclass(frozen=True)
class Assessment:
    """Of one rule."""

    rule: Rule
    incidents: tuple[Incident, ...]  # that are actionable
    noticed: tuple[Noticed, ...]  # of these
    alerts: int  # that fired, all of them
    false: int  # those that fired while there was no actionable incident
    seconds: float  # that the runs lasted

    @property
    def delays(self) -> tuple[float, ...]:
        """Seconds from the start of each incident that it noticed until it fired."""
        return tuple(one.delay for one in self.noticed)

    @property
    def recall(self) -> float:
        """The share of the incidents that it noticed; nan without any."""
        return len(self.noticed) / len(self.incidents) if self.incidents else nan

    @property
    def precision(self) -> float:
        """The share of its alerts that were about an actionable incident; nan without any."""
        return 1 - self.false / self.alerts if self.alerts else nan

    @property
    def detection(self) -> float:
        """Seconds until it fired, the median; nan if it noticed nothing."""
        return median(self.delays) if self.delays else nan

    @property
    def reset(self) -> float:
        """Seconds from the end of an incident until its alert was over, the median; nan if unknown."""
        known = [one.reset for one in self.noticed if one.reset == one.reset]
        return median(known) if known else nan

    @property
    def per_day(self) -> float:
        """Alerts a day; pages, if the rule's severity is page."""
        return self.alerts / self.seconds * DAY if self.seconds else nan

    @property
    def false_per_day(self) -> float:
        return self.false / self.seconds * DAY if self.seconds else nan

    def to_dict(self) -> dict[str, float | str]:
        """Return the row of a table."""
        return {
            "rule": self.rule.name,
            "severity": self.rule.severity,
            "recall": self.recall,
            "precision": self.precision,
            "detection": self.detection,
            "reset": self.reset,
            "alerts": self.alerts,
            "false alarms": self.false,
            "alerts a day": self.per_day,
        }


class Quality(Sequence[Assessment]):
    """How several rules do over the same runs: an Assessment of each."""

    def __init__(self, found: Iterable[Assessment]) -> None:
        self._all = tuple(found)

    @overload
    def __getitem__(self, index: int) -> Assessment: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Assessment]: ...

    def __getitem__(self, index: int | slice) -> Assessment | Sequence[Assessment]:
        return self._all[index]

    def __len__(self) -> int:
        return len(self._all)

    def of(self, rule: str) -> Assessment:
        """Return that of a rule, by name. Raises KeyError for an unknown one."""
        try:
            return next(one for one in self if one.rule.name == rule)
        except StopIteration:
            known = ", ".join(one.rule.name for one in self)
            raise KeyError(f"no rule {rule!r}: there are {known}") from None

    @property
    def incidents(self) -> tuple[str, ...]:
        """The names of the actionable incidents."""
        return tuple(dict.fromkeys(incident.name for one in self for incident in one.incidents))

    def detections(self) -> dict[str, dict[str, float]]:
        """Return for each rule, and each actionable incident by name, the median of the seconds until it
        fired; nan where it never did."""
        return {one.rule.name: {name: _delay(one, name) for name in self.incidents} for one in self}

    @property
    def pages_per_day(self) -> float:
        """The pages of all rules together: what the person on call gets."""
        return sum(one.per_day for one in self if one.rule.severity == "page")

    @property
    def missed(self) -> tuple[str, ...]:
        """The names of the incidents that no rule noticed."""
        found = {one.incident.name for assessed in self for one in assessed.noticed}
        return tuple(name for name in self.incidents if name not in found)

    def __repr__(self) -> str:
        return "\n".join(
            f"{one.rule.name}: recall {_SHARE(one.recall)}, precision {_SHARE(one.precision)},"
            f" {one.false} false alarms, detection {_SECONDS(one.detection)} s"
            for one in self
        )

    def _repr_html_(self) -> str:
        """Return a table: of each rule how good it is, and how soon it noticed which incident."""
        head = ("rule", *_WRITTEN, *(f"{name}, s" for name in self.incidents))
        detections = self.detections()
        body = (
            [
                one.rule.name,
                *(write(one.to_dict()[column]) for column, write in _WRITTEN.items()),
                *(_SECONDS(seconds) for seconds in detections[one.rule.name].values()),
            ]
            for one in self
        )
        notes = [f"noticed by no rule: {', '.join(self.missed)}"] if self.missed else []
        return html(head, body, ["rule", "severity"], [*notes, *self._over()])

    def _over(self) -> list[str]:
        if not self:
            return []
        days = self[0].seconds / DAY
        return [
            f"over {days:.3g} day{'' if days == 1 else 's'}; {self.pages_per_day:.2g} pages a day by all"
            " rules; detection and reset are medians, in seconds"
        ]


_SHARE, _SECONDS = as_text(".0%"), as_text(".0f")
_WRITTEN: Mapping[str, Any] = {
    "severity": str,
    "recall": _SHARE,
    "precision": _SHARE,
    "detection": _SECONDS,
    "reset": _SECONDS,
    "alerts a day": as_text(".2g"),
    "false alarms": str,
}


def _delay(assessed: Assessment, name: str) -> float:
    found = [one.delay for one in assessed.noticed if one.incident.name == name]
    return median(found) if found else nan


def assess(
    rules: Sequence[Rule],
    runs: Iterable[tuple[Store, Sequence[Incident]]],
    grace: float = 60.0,
    every: float | None = None,
) -> Quality:
    """Return how each rule does over runs, each with the incidents that were put into it.

    An alert is about an incident if it fires within it, or up to `grace` seconds after its end: windows
    remember. `every`: seconds between evaluations, as for `evaluate`. Raises ValueError for a negative
    `grace`, and for two rules of one name."""
    number(0, grace=grace)
    names = [rule.name for rule in rules]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"rules: two are called {twice[0]}; give one another name, as `at_limits` does")
    known = list(runs)
    return Quality(_assessed(rule, known, grace, every) for rule in rules)


def _assessed(
    rule: Rule, runs: Sequence[tuple[Store, Sequence[Incident]]], grace: float, every: float | None
) -> Assessment:
    incidents: list[Incident] = []
    noticed: list[Noticed] = []
    alerts = false = 0
    seconds = 0.0
    for store, happened in runs:
        actionable = [incident for incident in happened if incident.actionable]
        fired = [alert for alert in evaluate([rule], store, every) if alert.fired]
        incidents += actionable
        alerts += len(fired)
        false += sum(not any(_about(alert, one, grace) for one in actionable) for alert in fired)
        noticed += _noticed(actionable, fired, grace)
        seconds += store.times[-1] - store.times[0] if store.times else 0.0
    return Assessment(rule, tuple(incidents), tuple(noticed), alerts, false, seconds)


def _noticed(incidents: Iterable[Incident], fired: Sequence[Alert], grace: float) -> Iterator[Noticed]:
    for incident in incidents:
        about = [alert for alert in fired if _about(alert, incident, grace)]
        if about:
            ends = [nan if alert.resolved is None else alert.resolved for alert in about]
            late = nan if any(end != end for end in ends) else max(0.0, max(ends) - incident.end)
            first = min(alert.firing for alert in about if alert.firing is not None)
            yield Noticed(incident, first - incident.start, late)


def _about(alert: Alert, incident: Incident, grace: float) -> bool:
    assert alert.firing is not None
    return incident.start <= alert.firing <= incident.end + grace

"""A blue-green deploy: all traffic goes over to other servers at once, and back if they are worse.

Blue servers have the old version, green ones the new. Blue ones drain and wait in reserve, so the way back
takes no longer than the way there; that is what twice the servers are paid for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from lbkit.core.canary import Counts, fails_more
from lbkit.core.options import named_fields
from lbkit.core.rollout import Managed, RolloutState
from lbkit.core.state_change import StateChange

LOOKS = 5  # times that the new version is judged, at equal distances


@named_fields
@dataclass(frozen=True, slots=True)
class BlueGreen:
    """At second `at` the servers `green` join the pool, and all others drain. Raises ValueError.

    For `settle` seconds the new version is judged, five times: by its share of errors against that of the old
    one before. `false_alarms`: the probability that a version that is as good is sent back, at most (Fisher's
    exact test, one-sided; see lbkit/core/canary.py); 0: it is never judged.
    """

    kind: ClassVar = "blue_green"

    green: tuple[str, ...]
    at: float = 0.0
    settle: float = 10.0
    false_alarms: float = 0.01

    def __post_init__(self) -> None:
        if isinstance(self.green, str) or not self.green:
            raise ValueError(f"green is {self.green!r}: use a list of servers' names")
        object.__setattr__(self, "green", tuple(self.green))
        for name in ("at", "settle"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} is {value}: use seconds, 0 or more")
        if not 0 <= self.false_alarms < 1:
            raise ValueError(f"false_alarms is {self.false_alarms}: use a probability from 0 to below 1")

    @property
    def joining(self) -> frozenset[str]:
        """The servers that are not in the pool before."""
        return frozenset(self.green)


class Switchover:
    """A blue-green deploy on its way. `advance` does what can be done; call it often."""

    def __init__(
        self,
        rules: BlueGreen,
        names: Iterable[str],
        fleet: Managed,
        on_change: Callable[[StateChange], object] = lambda change: None,
    ) -> None:
        """`names`: the servers in the pool, which are blue."""
        self.rules = rules
        self.blue = [name for name in names if name not in rules.green]
        self.state = RolloutState.RUNNING
        self._fleet = fleet
        self._on_change = on_change
        self._since: float | None = None  # when traffic went over
        self._looks = 0
        self._old = self._count(self.blue)
        self._new = self._count(rules.green)

    @property
    def over(self) -> bool:
        return self.state is not RolloutState.RUNNING

    def advance(self, now: float) -> None:
        if self.over:
            return
        if self._since is None:
            self._since = now
            self._old = self._count(self.blue)  # all that the old version ever answered
            for name in self.rules.green:
                self._fleet.add(name)
                self._changed(now, name, "outside", "serving", "new version")
            for name in self.blue:  # green ones first: some server is there at any time
                self._fleet.drain(name)
                self._changed(now, name, "serving", "reserve")
            return
        due = self._since + self.rules.settle * (self._looks + 1) / LOOKS
        if now < due:
            return
        self._looks += 1
        if self._is_worse():
            for name in self.blue:
                self._fleet.undrain(name)
                self._changed(now, name, "reserve", "serving", "rolled back")
            for name in self.rules.green:
                self._fleet.drain(name)
                self._changed(now, name, "serving", "outside", "rolled back")
            self.state = RolloutState.ROLLED_BACK
        elif self._looks == LOOKS:
            self.state = RolloutState.DONE

    def _count(self, names: Iterable[str]) -> Counts:
        counts = self._fleet.counts()
        return sum((counts.get(name, Counts()) for name in names), Counts())

    def _is_worse(self) -> bool:
        if not self.rules.false_alarms:
            return False
        new = self._count(self.rules.green).since(self._new)
        return fails_more(self._old, new, self.rules.false_alarms, LOOKS)

    def _changed(self, now: float, name: str, before: str, after: str, why: str = "") -> None:
        self._on_change(StateChange(now, name, "deploy", before, after, why))

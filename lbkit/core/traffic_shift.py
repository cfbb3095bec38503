"""Deploys onto other servers: traffic shifts to the new version in steps, and back if it fails more often.

Servers with the new version join the pool beside those with the old one. A canary release gives them a small
share of the traffic first, a blue-green deploy gives them all of it at once. Servers with the old version
then drain and wait in reserve, so the way back takes no longer than the way there; the price is two fleets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from lbkit.core.judge import Counts, fails_more
from lbkit.core.options import named_fields
from lbkit.core.rollout import Managed, RolloutState, check_rates, check_seconds
from lbkit.core.state_change import StateChange

LOOKS = 5  # times that the new version is judged in each step, at equal distances


@named_fields
@dataclass(frozen=True, slots=True)
class BlueGreen:
    """At second `at` the servers `green` join the pool, and all others drain. Raises ValueError.

    For `settle` seconds the new version is judged, five times, by its share of errors against that of the old
    one before. `false_alarms`: an upper bound of the probability that a version that is as good is sent back
    (Fisher's exact test, one-sided; see lbkit/core/judge.py); 0: it is never judged.
    """

    kind: ClassVar = "blue_green"
    shares: ClassVar = (1.0,)

    green: tuple[str, ...]
    at: float = 0.0
    settle: float = 10.0
    false_alarms: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "green", _names("green", self.green))
        check_seconds(at=self.at, settle=self.settle)
        check_rates(self.false_alarms)

    @property
    def arrivals(self) -> tuple[str, ...]:
        """The servers with the new version, which are not in the pool before."""
        return self.green


@named_fields
@dataclass(frozen=True, slots=True)
class Canary:
    """From second `at` on the servers `new` get the next of `shares` of the traffic after `settle` seconds.

    They join with weights that give them this share, so the policy needs an algorithm that deals requests out
    by weight (`Balancer.by_weight`). At the last share, which is 1, the servers with the old version drain.

    In each step the new version is judged five times, by its share of errors against that of the old one
    since the deploy began. `false_alarms`: an upper bound of the probability that a version that is as good
    is sent back, over all steps (Fisher's exact test, one-sided; see lbkit/core/judge.py); 0: it is never
    judged. Raises ValueError. (Steps of shares as in Argo Rollouts and Flagger, which have no such bound.)
    """

    kind: ClassVar = "canary"

    new: tuple[str, ...]
    at: float = 0.0
    shares: tuple[float, ...] = (0.01, 0.1, 0.5, 1.0)
    settle: float = 10.0
    false_alarms: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "new", _names("new", self.new))
        object.__setattr__(self, "shares", tuple(self.shares))
        rising = (0.0, *self.shares)
        if rising[-1] != 1 or any(not a < b for a, b in pairwise(rising)):
            raise ValueError(f"shares is {self.shares}: use rising shares up to 1, such as 0.01, 0.1, 0.5, 1")
        check_seconds(at=self.at, settle=self.settle)
        check_rates(self.false_alarms)

    @property
    def arrivals(self) -> tuple[str, ...]:
        """The servers with the new version, which are not in the pool before."""
        return self.new


def _names(field: str, value: Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str) or not (names := tuple(value)):
        raise ValueError(f"{field} is {value!r}: use a list of servers' names")
    return names


class TrafficShift:
    """A deploy by shares of traffic on its way. `advance` does what is due; call it often."""

    def __init__(
        self,
        rules: BlueGreen | Canary,
        weights: Mapping[str, float],
        fleet: Managed,
        on_change: Callable[[StateChange], object] = lambda change: None,
    ) -> None:
        """`weights`: those of all servers, by name, whether they are in the pool or join it."""
        self.rules = rules
        self.old = [name for name in weights if name not in rules.arrivals]
        self.new = list(rules.arrivals)
        self.state = RolloutState.RUNNING
        self._weights = weights
        self._fleet = fleet
        self._on_change = on_change
        self._step = -1  # the number of the present share
        self._since = 0.0  # when it began
        self._looks = 0  # in this step
        self._old = self._count(self.old)  # answers of the old version that do not count
        self._new = self._count(self.new)
        if rules.shares[0] == 1:
            self._old = Counts()  # there is none at the same time: what it did before has to do

    @property
    def over(self) -> bool:
        return self.state is not RolloutState.RUNNING

    @property
    def share(self) -> float:
        """The share of the traffic that the new version gets."""
        return self.rules.shares[self._step] if self._step >= 0 else 0.0

    def advance(self, now: float) -> None:
        if self.over:
            return
        if self._step < 0:
            self._next_share(now)
        elif now >= self._since + self.rules.settle * (self._looks + 1) / LOOKS:
            self._looks += 1
            if self._is_worse():
                self._roll_back(now)
            elif self._looks == LOOKS and self.share == 1:
                self.state = RolloutState.DONE
            elif self._looks == LOOKS:
                self._next_share(now)

    def _next_share(self, now: float) -> None:
        before = self._word()
        self._step, self._since, self._looks = self._step + 1, now, 0
        for name in self.new:
            weight = self._weights[name] * self._factor()
            if self._step:
                self._fleet.set_weight(name, weight)
            else:
                self._fleet.add(name, weight)
            self._changed(now, name, before, self._word(), "" if self._step else "new version")
        if self.share == 1:  # new ones first: a server is in the pool at any time
            for name in self.old:
                self._fleet.drain(name)
                self._changed(now, name, "serving", "reserve")

    def _factor(self) -> float:
        """Return what the weights of the new servers are multiplied by, so that they have their share."""
        if self.share == 1:
            return 1.0
        old, new = (sum(self._weights[name] for name in names) for names in (self.old, self.new))
        return self.share / (1 - self.share) * old / new

    def _roll_back(self, now: float) -> None:
        if self.share == 1:
            for name in self.old:
                self._fleet.undrain(name)
                self._changed(now, name, "reserve", "serving", "rolled back")
        for name in self.new:
            self._fleet.drain(name)
            self._changed(now, name, self._word(), "outside", "rolled back")
        self.state = RolloutState.ROLLED_BACK

    def _count(self, names: Iterable[str]) -> Counts:
        counts = self._fleet.counts()
        return sum((counts.get(name, Counts()) for name in names), Counts())

    def _is_worse(self) -> bool:
        if not self.rules.false_alarms:
            return False
        old, new = self._count(self.old).since(self._old), self._count(self.new).since(self._new)
        return fails_more(old, new, self.rules.false_alarms, LOOKS * len(self.rules.shares))

    def _word(self) -> str:
        """Return the state of the new servers in words."""
        if self._step < 0:
            return "outside"
        return "serving" if self.share == 1 else f"{self.share:.3g} of traffic"

    def _changed(self, now: float, name: str, before: str, after: str, why: str = "") -> None:
        self._on_change(StateChange(now, name, "deploy", before, after, why))

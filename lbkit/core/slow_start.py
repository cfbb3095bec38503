"""Slow start: the weight of a backend that joins or recovers rises gradually."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import inf

from lbkit.core.backend import Backend
from lbkit.core.options import named_fields, number


@named_fields
@dataclass(frozen=True, slots=True)
class SlowStart:
    """A gradual rise of the weight of a backend that joins or recovers, while its caches are cold.

    For `window` seconds its weight is multiplied by max(floor, (age / window)^(1 / aggression)). With
    aggression 1 it rises linearly, above 1 faster at first. Plain round robin ignores weights.
    (Envoy: aggression 1, floor 0.1; HAProxy `slowstart`: linear from 1/16; ALB: linear, 30 to 900 s.) Not
    modelled: HAProxy's maxconn, which rises too, and nginx's lower effective weight after a failure.
    """

    window: float
    aggression: float = 1.0
    floor: float = 0.1

    def __post_init__(self) -> None:
        number(0, above=True, window=self.window, aggression=self.aggression)
        number(0, 1, above=True, floor=self.floor)

    def share(self, age: float) -> float:
        """Return the factor on the weight, `age` seconds after the start."""
        if age >= self.window:
            return 1.0
        share: float = (max(age, 0.0) / self.window) ** (1 / self.aggression)
        return max(self.floor, share)


STEPS = 20  # weight changes in a slow start: each may rebuild a ring


class Ramps:
    """The slow starts of a pool's backends."""

    __slots__ = ("_full_weight", "_next_step", "rules", "since")

    def __init__(self, rules: SlowStart) -> None:
        self.rules = rules
        # Backend in slow start -> its beginning, in seconds; None: it begins at the next pick.
        self.since: dict[Backend, float | None] = {}
        self._full_weight: dict[Backend, float] = {}  # of those in slow start
        self._next_step = 0.0

    def full_weight(self, backend: Backend) -> float:
        """Return the weight of a backend after its slow start."""
        return self._full_weight.get(backend, backend.weight)

    def set_weight(self, backend: Backend, weight: float) -> None:
        """Change the full weight of a backend; in slow start, its present weight follows at the next pick."""
        backend.weight = weight
        if backend in self._full_weight:
            self._full_weight[backend] = weight
            self._next_step = -inf

    def update(self, before: Collection[Backend], eligible: Collection[Backend]) -> None:
        """Begin the slow start of backends that became eligible; end it for those that no longer are."""
        for backend in self.since.keys() - set(eligible):
            del self.since[backend]
            backend.weight = self._full_weight.pop(backend)
        for backend in eligible:
            if backend not in before and backend not in self.since:
                self.since[backend] = None
                self._full_weight[backend] = backend.weight
                backend.weight *= self.rules.share(0.0)
                self._next_step = -inf

    def advance(self, now: float) -> bool:
        """Bring the weights up to `now`; return whether a step was due."""
        if not self.since or now < self._next_step:
            return False
        for backend, since in list(self.since.items()):
            if since is None:
                self.since[backend] = since = now
            backend.weight = self._full_weight[backend] * self.rules.share(now - since)
            if now - since >= self.rules.window:
                del self.since[backend], self._full_weight[backend]
        self._next_step = now + self.rules.window / STEPS
        return True

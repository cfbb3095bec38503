"""A learner's circuit breakers in the kit's place: for experiments with a simulated or a real proxy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from lbkit.core.health.breaker import Breaker, BreakerRules, BreakerState
from lbkit.core.health.watch import HealthRules
from lbkit.core.laws import Guards
from lbkit.policy import Policy

LOOK = 0.02  # seconds after which a breaker that is not closed is asked again


class OwnBreaker(Breaker):
    """The breaker of one backend, which asks a learner's object. It is shown as open or closed."""

    __slots__ = ("_guards", "_name")

    def __init__(self, rules: BreakerRules, guards: Guards, name: str) -> None:
        super().__init__(rules)
        self._guards = guards
        self._name = name

    def allows(self, now: float) -> bool:
        allowed = bool(self._guards.allows(self._name, now))
        self.state = BreakerState.CLOSED if allowed else BreakerState.OPEN
        self.wake = None if allowed else now + LOOK
        return allowed

    def started(self, now: float) -> None:
        self._guards.started(self._name, now)

    def ended(self, started: float, ok: bool | None, latency: float, now: float) -> BreakerState | None:
        # An attempt that was cut short would keep a try waiting for ever: it counts as failed.
        before = self.state
        self._guards.ended(self._name, started, bool(ok), now)
        self.allows(now)
        return None if self.state is before else self.state


def own_breakers(make: Callable[[], Guards], policy: Policy) -> Policy:
    """Return a policy like `policy`, with a learner's circuit breakers. `make` is called for each run."""
    made: list[Guards] = []
    names: set[str] = set()

    def breaker(self: BreakerRules, name: str) -> Breaker:
        if not made or name in names:  # another run
            made[:] = [make()]
            names.clear()
        names.add(name)
        return OwnBreaker(self, made[0], name)

    kind: Any = type("OwnBreakerRules", (BreakerRules,), {"breaker": breaker})
    return attrs.evolve(policy, health=HealthRules(breaker=kind()))

"""A learner's load shedding in the kit's place: for experiments with a simulated or a real proxy."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Protocol

from lbkit.core.shedding import AdmissionControl, AdmissionControlRules
from lbkit.edge import Admission


class Sheds(Protocol):
    """What a learner writes: one object for all requests of a balancer."""

    def share(self, now: float) -> float: ...

    def ended(self, ok: bool, now: float) -> None: ...


class OwnControl(AdmissionControl):
    """Admission control with the share of requests to reject that a learner's object gives."""

    __slots__ = ("_sheds",)

    def __init__(self, rules: AdmissionControlRules, rng: random.Random, sheds: Sheds) -> None:
        super().__init__(rules, rng)
        self._sheds = sheds

    def rejection(self, now: float) -> float:
        return min(1.0, max(0.0, float(self._sheds.share(now))))

    def ended(self, ok: bool, now: float) -> None:
        self._sheds.ended(bool(ok), now)


def own_shedding(make: Callable[[], Sheds]) -> Admission:
    """Return an admission control in which a learner's object decides. `make` is called for each run."""

    def control(self: AdmissionControlRules, rng: random.Random) -> AdmissionControl:
        return OwnControl(self, rng, make())

    rules: Any = type("OwnSheddingRules", (AdmissionControlRules,), {"control": control})
    return Admission(control=rules())

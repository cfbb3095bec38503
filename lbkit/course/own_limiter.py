"""A learner's limiter inside the kit's: for experiments in which it guards a simulated or a real proxy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from lbkit.core.limit import Decision, Limiter


class Allows(Protocol):
    """What a learner writes: it is asked for each request, and has a clock of its own."""

    def allow(self, cost: float = 1) -> bool: ...


def own_limiter(name: str, make: Callable[[Callable[[], float]], Allows]) -> dict[str, Any]:
    """Register a limiter and return its description, for `RateLimit`.

    `make` is called once for each key, with a clock that returns seconds, as in
    `lambda clock: Bucket(10, 5, clock)`. All keys are kept: this is for experiments, not for the open
    internet."""

    def decide(self: Any, key: str, now: float, cost: float = 1) -> bool:
        self.moment = now
        if key not in self.own:
            self.own[key] = make(lambda: self.moment)
        return bool(self.own[key].allow(cost))

    def admit(self: Any, key: str, now: float, cost: float = 1) -> Decision:
        allowed = self.allows(key, now, cost)
        return Decision(allowed, self.limit, 0.0, retry_after=0.0 if allowed else 1.0)

    def begin(self: Any) -> None:
        self.moment, self.own = 0.0, {}

    def step(self: Any, state: None, now: float, cost: float) -> None:
        raise NotImplementedError("a lab's limiter decides in `allow`")

    methods = {"__init__": begin, "allows": decide, "admit": admit, "step": step}
    # A class registers itself under its name. It is the learner's: lbkit's own are told by their modules.
    type(name, (Limiter,), {"name": name, "__module__": make.__module__, **methods})
    return {"kind": name}

"""Balancers of tests: in place of attributes put onto one of the kit's, which a compiled one refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lbkit.core import Backend, Balancer, forget


class Told(Balancer):
    """The first backend; keeps what it is told of outcomes."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[Any, ...]] = []

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return backends[0]

    def done(self, backend: Backend, elapsed: float, ok: bool | None, now: float) -> None:
        self.outcomes.append((backend, elapsed, ok, now))


class Raising(Balancer):
    """Fails as long as `broken`."""

    def __init__(self) -> None:
        self.broken = True

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        if self.broken:
            raise ZeroDivisionError
        return backends[0]


for _cls in (Told, Raising):
    forget(_cls)  # other tests run all algorithms there are

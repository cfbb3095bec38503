"""A server of an experiment, as data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
from attrs import field, frozen

from lbkit.checks import ExperimentError, number, one_of, text, whole
from lbkit.core.options import named_fields
from lbkit.distributions import Exponential, Service

__all__ = ["Server", "servers"]


@named_fields
@frozen
class Server:
    """A server with a queue: `workers` requests are served at once, the rest wait in order."""

    name: str = field(validator=text(empty=False))
    workers: int = field(default=1, validator=whole(1, 1_000_000))
    speed: float = field(default=1.0, validator=number(1e-6, 1e6))  # 2 halves service times
    # Seconds of work a request, at speed 1.
    service: Service = field(factory=Exponential, validator=one_of(Service))
    weight: float = field(default=1.0, validator=number(0))
    zone: str = field(default="", validator=text())
    priority: int = field(default=0, validator=whole(0))  # 0 is first
    delay: float = field(default=0.0, validator=number(0, 1e7))  # seconds on the network, each way
    queue: int | None = field(default=None, validator=attrs.validators.optional(whole(0)))  # None: no limit
    error_rate: float = field(
        default=0.0, validator=number(0, 1)
    )  # share answered 500 at once, without service

    @property
    def capacity(self) -> float:
        """Requests a second when all workers are always busy."""
        return self.workers * self.speed / self.service.mean


def servers(count: int, *, speed: float | Iterable[float] = 1.0, **fields: Any) -> tuple[Server, ...]:
    """Return `count` equal servers s1, s2, ...; `speed` is one number, or one for each.

    Raises ExperimentError if the number of speeds is not `count`."""
    speeds = [speed] * count if isinstance(speed, int | float) else list(speed)
    if len(speeds) != count:
        raise ExperimentError(f"speed: {len(speeds)} speeds for {count} servers: give one number, or {count}")
    return tuple(Server(name=f"s{i}", speed=s, **fields) for i, s in enumerate(speeds, 1))

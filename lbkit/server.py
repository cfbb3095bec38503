"""A server of an experiment, as data: its workers, its queue, and the network before it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from attrs import field, frozen

from lbkit.checks import ExperimentError, flag, number, one_of, text, whole, word
from lbkit.core.options import named_fields
from lbkit.core.text import shown
from lbkit.distributions import Exponential, Service

__all__ = ["DISCIPLINES", "FIFO", "PROCESSOR_SHARING", "Server", "servers"]


FIFO = "fifo"  # up to `workers` requests run at once, the others wait in the order of their arrival
PROCESSOR_SHARING = "processor_sharing"  # all requests run at once, and share the speed of the workers evenly
DISCIPLINES = (FIFO, PROCESSOR_SHARING)


def _dependencies(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"{attribute.name} is {shown(value)}: use a table of names and shares")
    for name, share in value.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][\w-]*", name) or name == "status":
            raise ValueError(
                f"{attribute.name} has {shown(name)}: use a name of letters, digits, _ and -, and not status"
            )
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ValueError(
                f"{attribute.name}.{name} is {shown(share)}: use the share of paths that need it, from 0 to 1"
            )


@named_fields
@frozen
class Server:
    """A server of `workers` workers, with a queue before them.

    By default it serves in order of arrival. With the `discipline` "processor_sharing" it works on all
    requests at once: of n, each runs at min(1, workers / n) of the full speed, as threads on processors do.
    """

    name: str = field(validator=text(empty=False))
    workers: int = field(default=1, validator=whole(1, 1_000_000))
    speed: float = field(default=1.0, validator=number(1e-6, 1e6))  # 2 halves service times
    # Seconds of work a request, at speed 1.
    service: Service = field(factory=Exponential, validator=one_of(Service))
    weight: float = field(default=1.0, validator=number(0))
    zone: str = field(default="", validator=text())
    priority: int = field(default=0, validator=whole(0))  # 0 is first
    # Rules of the experiment's `routing` choose among pools; what none fits goes to "default".
    pool: str = field(default="default", validator=text(empty=False))
    delay: float = field(default=0.0, validator=number(0, 1e7))  # seconds on the network, each way
    # Seconds that each way takes longer, on average: exponential, drawn anew for each message.
    delay_jitter: float = field(default=0.0, validator=number(0, 1e7))
    # Requests beyond `workers` that the server takes; None: no limit.
    queue: int | None = field(default=None, validator=attrs.validators.optional(whole(0)))
    discipline: str = field(default=FIFO, validator=word(DISCIPLINES))
    error_rate: float = field(
        default=0.0, validator=number(0, 1)
    )  # share answered 500 at once, without service
    boot: float = field(default=0.0, validator=number(0, 1e7))  # seconds from "recover" to serving
    # Its database, cache and so on: name -> share of the paths that need it, and get 500 while it has failed.
    # Servers that name the same one share it. `/health/detail` reports their states.
    dependencies: Mapping[str, float] = field(factory=dict, validator=_dependencies)
    # Whether it stops working on a request when the client, or the proxy for it, has closed the connection.
    # Most servers do not notice before they write the answer.
    cancels: bool = field(default=False, validator=flag)

    @property
    def capacity(self) -> float:
        """Requests a second when all workers are always busy."""
        return self.workers * self.speed / self.service.mean


def servers(count: int, *, speed: float | Iterable[float] = 1.0, **fields: Any) -> tuple[Server, ...]:
    """Return `count` equal servers s1, s2, ...; `speed` is one number, or one for each.

    Raises ExperimentError if `count` is no whole number, or not the number of speeds."""
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= 1_000_000:
        raise ExperimentError(f"count is {shown(count)}: use a whole number of at least 1 and at most 1e+06")
    speeds = list(speed) if isinstance(speed, Iterable) else [speed] * count
    if len(speeds) != count:
        raise ExperimentError(f"speed: {len(speeds)} speeds for {count} servers: give one number, or {count}")
    return tuple(Server(name=f"s{i}", speed=s, **fields) for i, s in enumerate(speeds, 1))

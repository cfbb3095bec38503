"""A server, as its balancer sees it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from mypy_extensions import mypyc_attr

# Share of the newest sample in a backend's average latency; nginx's least_time uses the same.
NEW_SAMPLE = 0.05

DEFAULT_POOL = "default"  # what no rule of content switching sends elsewhere goes there


class Intent(Enum):
    """What the operator wants of a backend, whatever its health."""

    READY = "ready"
    DRAIN = "drain"  # finish what is running, start nothing new
    OUT = "out"  # in maintenance: as drain, and its running requests are not waited for


class NoBackend(Exception):
    """No backend may be picked: all are down, draining, out, of weight 0, tried already, or not allowed."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Backend:
    """A server that requests can be sent to.

    Three states decide whether it is eligible: `healthy`, by checks and the outcomes of its requests,
    `blocked`, by a breaker that is open or a bulkhead that is full, and `intent`, set by the operator. Change
    them, and `weight`, through its `Pool` only, which notifies the balancer; leases keep `in_flight` and
    `latency` up to date.
    """

    __slots__ = (
        "blocked",
        "healthy",
        "host",
        "in_flight",
        "intent",
        "latency",
        "name",
        "picks",
        "pool",
        "port",
        "priority",
        "traffic",
        "weight",
        "workers",
        "zone",
    )

    def __init__(
        self,
        name: str,
        *,
        weight: Any = 1.0,  # a float; as Any, it is checked in our words where this is compiled, too
        host: str = "",
        port: int = 0,
        zone: str = "",
        priority: int = 0,
        pool: str = DEFAULT_POOL,
        workers: int = 0,
    ) -> None:
        """Raises ValueError when `weight` is negative or not finite."""
        self.name = name
        self.host = host
        self.port = port
        self.zone = zone
        self.priority = (
            priority  # 0 is first; a higher one is used only when the levels before it do not suffice
        )
        self.pool = pool  # its name, where rules choose among several pools
        self.workers = workers  # requests that it works on at once, for metrics; 0 is "not known"
        self.weight: float = checked_weight(name, weight)
        self.healthy = True
        self.blocked = False
        self.intent = Intent.READY
        self.in_flight = 0  # leases not yet released
        self.latency = 0.0  # seconds, moving average of successful requests; 0 is "not known yet"
        self.picks = 0  # how often it was picked
        self.traffic = 0  # bytes of requests and answers

    def twin(self) -> Backend:
        """Return the same server for another balancer, with counts of its own."""
        return Backend(
            self.name,
            weight=self.weight,
            host=self.host,
            port=self.port,
            zone=self.zone,
            priority=self.priority,
            pool=self.pool,
            workers=self.workers,
        )

    @property
    def address(self) -> str:
        """host:port; the name if there is no port, as in the simulator."""
        return f"{self.host}:{self.port}" if self.port else self.name

    @property
    def eligible(self) -> bool:
        """Whether it may get new requests. The only rule of eligibility; only Pool uses it."""
        return self.healthy and not self.blocked and self.intent is Intent.READY and self.weight > 0

    def __repr__(self) -> str:
        state = "unhealthy" if not self.healthy else "blocked" if self.blocked else self.intent.value
        return f"<Backend {self.name} weight={self.weight:g} in_flight={self.in_flight} {state}>"


def checked_weight(name: str, weight: Any) -> float:
    """Return `weight` as a float. Raises ValueError if it is negative, infinite or no number."""
    try:
        number = float(weight)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not 0 <= number < float("inf"):
        raise ValueError(
            f"weight of backend {name!r} is {weight!r}: use a number from 0 (no traffic) upwards"
        )
    return number


K = TypeVar("K")


def whole_weights(weights: Mapping[K, float], limit: int = 1000) -> dict[K, int]:
    """Return whole numbers in the proportions of the weights, as small as can be, up to `limit`.

    Weights without such numbers get the nearest: at most `limit`, and at least 1 unless they are 0."""
    heaviest = max(weights.values(), default=0.0)
    ratios = {weight / heaviest for weight in weights.values() if weight}

    def fit(turns: int) -> bool:
        """Whether every ratio of these turns is a whole number; 0.3333333 of 3 is one, too."""
        return all(
            ratio * turns > 0.5 and abs(ratio * turns - round(ratio * turns)) < 1e-6 for ratio in ratios
        )

    turns = next(filter(fit, range(1, limit + 1)), limit)  # of the heaviest
    return {k: max(1, round(weight / heaviest * turns)) if weight else 0 for k, weight in weights.items()}

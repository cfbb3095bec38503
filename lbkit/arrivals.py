"""Arrival processes: when requests are sent. Rates are in requests a second, times in seconds."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise
from math import inf
from typing import Any, ClassVar

import attrs
from attrs import field, frozen

from lbkit.checks import number, whole
from lbkit.core.options import named_fields


@named_fields
@frozen
class Poisson:
    """Many independent clients: gaps are exponential. Open loop: clients do not wait for answers."""

    kind: ClassVar[str] = "poisson"
    rate: float = field(default=100.0, validator=number(0, above=True))


@named_fields
@frozen
class ConstantRate:
    """A metronome, open loop."""

    kind: ClassVar[str] = "constant"
    rate: float = field(default=100.0, validator=number(0, above=True))


@named_fields
@frozen
class OnOff:
    """Bursts, open loop: Poisson at `peak` for about `on` seconds, silence for about `off`.

    Both lengths are exponential (an interrupted Poisson process)."""

    kind: ClassVar[str] = "on_off"
    peak: float = field(default=200.0, validator=number(0, above=True))
    on: float = field(default=1.0, validator=number(0, above=True))
    off: float = field(default=1.0, validator=number(0))

    @property
    def rate(self) -> float:
        return self.peak * self.on / (self.on + self.off)


def _points(what: Iterable[Iterable[float]]) -> tuple[tuple[float, float], ...]:
    return tuple((float(t), float(rate)) for t, rate in what)


def _profile(instance: Any, attribute: attrs.Attribute[Any], value: tuple[tuple[float, float], ...]) -> None:
    times = [t for t, _ in value]
    if len(value) < 2 or times[0] != 0 or any(a > b for a, b in pairwise(times)) or times[-1] <= 0:
        raise ValueError("points must be two or more (second, rate), from second 0 on, never going back")
    if any(not 0 <= rate < inf for _, rate in value) or not any(rate for _, rate in value):
        raise ValueError("points must have rates of 0 or more, and not all of them 0")


@named_fields
@frozen
class Profile:
    """Poisson at a rate that changes, open loop: straight lines between `points`, (second, rate) each.

    >>> Profile([(0, 10), (60, 100)])                              # a ramp
    >>> Profile([(0, 10), (30, 10), (30, 50), (60, 50)])           # a step
    >>> Profile([(0, 10), (30, 10), (31, 200), (32, 10), (60, 10)])  # a spike

    After the last point its rate stays."""

    kind: ClassVar[str] = "profile"
    points: tuple[tuple[float, float], ...] = field(converter=_points, validator=_profile)

    @property
    def rate(self) -> float:
        """On average, from the first point to the last."""
        area = sum((b - a) * (x + y) / 2 for (a, x), (b, y) in pairwise(self.points))
        return area / self.points[-1][0]

    @property
    def peak(self) -> float:
        return max(rate for _, rate in self.points)

    def at(self, time: float) -> float:
        """The rate at this moment."""
        i = bisect_right(self.points, time, key=lambda point: point[0])
        if i == len(self.points):
            return self.points[-1][1]
        (a, x), (b, y) = self.points[i - 1 : i + 1]
        return x + (y - x) * (time - a) / (b - a)


def _moments(what: Iterable[float]) -> tuple[float, ...]:
    return tuple(what)


def _numbers(what: Iterable[int]) -> tuple[int, ...]:
    return tuple(what)


def _rising(instance: Any, attribute: attrs.Attribute[Any], value: tuple[float, ...]) -> None:
    numbers = all(isinstance(t, int | float) for t in value)
    if not numbers or not all(a <= b < inf for a, b in zip((0.0, *value), value, strict=False)):
        raise ValueError(f"{attribute.name} must be seconds from the start, 0 or later, never going back")


@named_fields
@frozen
class Trace:
    """Exactly these moments, in seconds from the start: yesterday's log, played again.

    What else is known of the requests may be given, one value each: `clients` and `paths` by number,
    `demands` as the quantile of the service time, in [0, 1). What is not is drawn as ever."""

    kind: ClassVar[str] = "trace"
    times: tuple[float, ...] = field(converter=_moments, validator=_rising)
    clients: tuple[int, ...] = field(default=(), converter=_numbers)
    paths: tuple[int, ...] = field(default=(), converter=_numbers)
    demands: tuple[float, ...] = field(default=(), converter=_moments)

    def __attrs_post_init__(self) -> None:
        for name in ("clients", "paths", "demands"):
            given = getattr(self, name)
            if given and len(given) != len(self.times):
                raise ValueError(f"{name} has {len(given)} values for {len(self.times)} requests: one each")
        if any(i < 0 for i in (*self.clients, *self.paths)):
            raise ValueError("clients and paths are numbered from 0")
        if any(not 0 <= u < 1 for u in self.demands):
            raise ValueError("demands are quantiles: from 0 to below 1")

    @property
    def rate(self) -> float:
        return len(self.times) / self.times[-1] if self.times and self.times[-1] else 0.0


@named_fields
@frozen
class Closed:
    """A fixed crowd, closed loop: each of `users` sends, waits for the answer, thinks, sends again.

    Slow servers are asked less: such a crowd cannot overload them. Thinking
    takes `think` seconds on average, exponential."""

    kind: ClassVar[str] = "closed"
    users: int = field(default=10, validator=whole(1))
    think: float = field(default=1.0, validator=number(0))


Arrivals = Poisson | ConstantRate | OnOff | Profile | Trace | Closed

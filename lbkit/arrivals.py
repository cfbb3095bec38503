"""Arrival processes: when requests are sent. Rates are in requests a second, times in seconds.

Those of an open loop have a `mean_rate(duration)`, the rate to be expected on average in the first `duration`
seconds, and those that are drawn a `peak`, the highest rate.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import pairwise
from math import expm1
from typing import Any, ClassVar

import attrs
from attrs import field, frozen

from lbkit.checks import number, several, whole, word
from lbkit.core.options import named_fields, real
from lbkit.core.text import brief, shown

LONGEST = 1e7  # seconds, some four months: nothing in an experiment takes longer
_RATE = number(1e-9, 1e9)


@frozen
class _Steady:
    """The same rate all the time."""

    rate: float = field(default=100.0, validator=_RATE)

    @property
    def peak(self) -> float:
        return self.rate

    def mean_rate(self, duration: float) -> float:
        return self.rate


@named_fields
@frozen
class Poisson(_Steady):
    """Many independent clients, so that gaps are exponential. Open loop: clients do not wait for answers."""

    kind: ClassVar[str] = "poisson"


@named_fields
@frozen
class ConstantRate(_Steady):
    """One request after every 1 / `rate` seconds, open loop."""

    kind: ClassVar[str] = "constant"


@named_fields
@frozen
class OnOff:
    """Bursts, open loop: Poisson at `peak` for about `on` seconds, silence for about `off`.

    Both lengths are exponential (an interrupted Poisson process). It is stationary: it begins in a burst with
    the probability that any other moment has of being in one."""

    kind: ClassVar[str] = "on_off"
    peak: float = field(default=200.0, validator=_RATE)
    on: float = field(default=1.0, validator=number(1e-3, LONGEST))
    off: float = field(default=1.0, validator=number(0, LONGEST))

    @property
    def share(self) -> float:
        """The share of the time that is in bursts."""
        return self.on / (self.on + self.off)

    @property
    def rate(self) -> float:
        """The rate on average."""
        return self.peak * self.share

    def mean_rate(self, duration: float) -> float:
        return self.rate


def _points(what: Iterable[Iterable[float]]) -> tuple[tuple[float, float], ...]:
    try:
        return tuple((float(t), float(rate)) for t, rate in what)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"points is {shown(what)}: use pairs of numbers, (second, rate) each") from None


def _profile(instance: Any, attribute: attrs.Attribute[Any], value: tuple[tuple[float, float], ...]) -> None:
    times = [t for t, _ in value]
    rising = all(a <= b for a, b in pairwise(times)) and times[-1] > 0 if len(value) > 1 else False
    if not rising or times[0] != 0 or not times[-1] <= LONGEST:  # nan is in no order
        raise ValueError(
            f"points must be two or more (second, rate), from second 0 on, never going back, to {LONGEST:g}"
        )
    if not all(0 <= rate <= 1e9 for _, rate in value) or not any(rate for _, rate in value):
        raise ValueError("points must have rates from 0 to 1e+09, and not all of them 0")


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
    def peak(self) -> float:
        return max(rate for _, rate in self.points)

    def mean_rate(self, duration: float) -> float:
        inside = [point for point in self.points if point[0] < duration]
        line = [*inside, (duration, self.at(duration, before=True))]
        return sum((b - a) * (x + y) / 2 for (a, x), (b, y) in pairwise(line)) / duration

    def at(self, time: float, before: bool = False) -> float:
        """Return the rate at this moment; just `before` it, where a step is at it."""
        find = bisect_left if before else bisect_right
        i = find(self.points, time, key=lambda point: point[0])
        if i == len(self.points):
            return self.points[-1][1]
        (a, x), (b, y) = self.points[i - 1 : i + 1]
        return x + (y - x) * (time - a) / (b - a)


def _moments(what: float | Iterable[float]) -> tuple[float, ...]:
    return several(what)


def _numbers(what: int | Iterable[int]) -> tuple[int, ...]:
    return several(what)


def _rising(instance: Any, attribute: attrs.Attribute[Any], value: tuple[float, ...]) -> None:
    rising = all(map(real, value)) and all(a <= b for a, b in zip((0.0, *value), value, strict=False))
    if not rising or (value and not value[-1] <= LONGEST):
        raise ValueError(
            f"{attribute.name} must be seconds from the start, 0 or later, never going back, to {LONGEST:g}"
        )


@named_fields
@frozen
class Trace:
    """Arrivals at exactly these times, in seconds from the start, as a log has them.

    What else is known of the requests may be given, one value each: `clients` and `paths` by number,
    `demands` as the quantile of the service time, in [0, 1). The rest is drawn, as for other arrivals."""

    kind: ClassVar[str] = "trace"
    times: tuple[float, ...] = field(converter=_moments, validator=_rising, repr=brief)
    clients: tuple[int, ...] = field(default=(), converter=_numbers, repr=brief)
    paths: tuple[int, ...] = field(default=(), converter=_numbers, repr=brief)
    demands: tuple[float, ...] = field(default=(), converter=_moments, repr=brief)

    def __attrs_post_init__(self) -> None:
        for name in ("clients", "paths", "demands"):
            given = getattr(self, name)
            if given and len(given) != len(self.times):
                raise ValueError(f"{name} has {len(given)} values for {len(self.times)} requests: one each")
        if not all(isinstance(i, int) and i >= 0 for i in (*self.clients, *self.paths)):
            raise ValueError("clients and paths must be whole numbers from 0 on")
        if not all(real(u) and 0 <= u < 1 for u in self.demands):
            raise ValueError("demands are quantiles: from 0 to below 1")

    def mean_rate(self, duration: float) -> float:
        return bisect_left(self.times, duration) / duration


@named_fields
@frozen
class Closed:
    """A fixed number of users, closed loop: each sends, waits for the answer, thinks, and sends again.

    Slow servers get fewer requests, so such users cannot overload them. Thinking takes `think` seconds on
    average, exponential."""

    kind: ClassVar[str] = "closed"
    users: int = field(default=10, validator=whole(1, 1_000_000))
    think: float = field(default=1.0, validator=number(0, LONGEST))


@named_fields
@frozen
class Sessions:
    """Sessions begin at random (Poisson), and each is a closed loop while it lasts: a partly-open system.

    `rate`: new sessions a second. `requests`: of a session on average; after each, another one follows with
    the same probability (geometric). `think`: seconds on average between an answer and the next request,
    exponential. `state`: where servers keep what they know of a session, in their own "memory", so that it is
    lost with the server, or in a store that is "shared": a Redis, which live engines start.
    (Schroeder, Wierman and Harchol-Balter, Open Versus Closed, NSDI 2006.)"""

    kind: ClassVar[str] = "sessions"
    rate: float = field(default=1.0, validator=_RATE)
    requests: float = field(default=10.0, validator=number(1, 1e6))
    think: float = field(default=1.0, validator=number(0, LONGEST))
    state: str = field(default="memory", validator=word(("memory", "shared")))

    @property
    def peak(self) -> float:
        """The rate of requests once as many sessions end as begin."""
        return self.rate * self.requests

    def mean_rate(self, duration: float) -> float:
        """Return the rate of requests, which rises while there are fewer sessions than later; service takes
        no time here."""
        lasts = self.requests * self.think  # on average
        begun = lasts / duration * -expm1(-duration / lasts) if lasts else 0.0
        return self.rate * (1 + (self.requests - 1) * (1 - begun))


MOST_IN_BURST = 100_000


@named_fields
@frozen
class Burst:
    """Requests of one client besides all others: the first at second `at`, then `rate` a second."""

    at: float = field(validator=number(0, LONGEST))
    client: int = field(default=0, validator=whole(0, 1_000_000))
    requests: int = field(default=1, validator=whole(1, MOST_IN_BURST))
    rate: float = field(default=100.0, validator=_RATE)

    def times(self, duration: float) -> list[float]:
        """Return the times of its requests within `duration`."""
        times = (self.at + i / self.rate for i in range(self.requests))
        return [time for time in times if time < duration]


Arrivals = Poisson | ConstantRate | OnOff | Profile | Trace | Closed | Sessions

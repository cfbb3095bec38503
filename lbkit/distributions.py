"""Service-time distributions and arrival processes: what an Experiment is made of.

A service time is asked for by quantile, `quantile(u)` for u in [0, 1): the draw u belongs to
the request, the distribution to the server. So a request that is long on one server is long on
every server, and two algorithms are compared on the very same work.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import pairwise
from math import exp, inf, log1p, sqrt
from statistics import NormalDist
from typing import Any, ClassVar, get_args

import attrs
from attrs import field, frozen

from lbkit.core.text import CONTROL

_NORMAL = NormalDist()


def number(low: float = -inf, high: float = inf, *, above: bool = False) -> Callable[..., None]:
    """An attrs validator: a finite number in [low, high], or (low, high] when `above`."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and -inf < value < inf
        if not fits or not low <= value <= high or (above and value == low):
            bound = f"above {low:g}" if above else f"at least {low:g}" if low > -inf else "finite"
            upto = f" and at most {high:g}" if high < inf else ""
            raise ValueError(f"{attribute.name} is {value!r}: use a number {bound}{upto}")

    return check


def whole(low: int, high: float = inf) -> Callable[..., None]:
    """An attrs validator: a whole number in [low, high]."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            upto = f" and at most {high:g}" if high < inf else ""
            raise ValueError(f"{attribute.name} is {value!r}: use a whole number of at least {low}{upto}")

    return check


def text(*, empty: bool = True) -> Callable[..., None]:
    """An attrs validator: a text that keeps to one line of a log, and is not empty unless it may be."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, str):
            raise ValueError(f"{attribute.name} is {value!r}: use a text")
        if CONTROL.search(value):
            raise ValueError(f"{attribute.name} is {value!r}: use a text without control characters")
        if not (value or empty):
            raise ValueError(f"{attribute.name} is {value!r}: use a text that is not empty")

    return check


def flag(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """An attrs validator: True or False, and not "no", which would count as yes."""
    if not isinstance(value, bool):
        raise ValueError(f"{attribute.name} is {value!r}: use true or false")


def one_of(wanted: Any) -> Callable[..., None]:
    """An attrs validator: an instance of the class, or of a class in the union, `wanted`."""
    classes = get_args(wanted) or (wanted,)
    names = " or ".join(cls.__name__ for cls in classes)

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, classes):
            raise ValueError(f"{attribute.name} is {value!r}: use {names}")

    return check


def word(options: Iterable[str]) -> Callable[..., None]:
    """An attrs validator: one of these words."""
    words = tuple(options)

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value not in words:
            raise ValueError(f"{attribute.name} is {value!r}: use {', '.join(words)}")

    return check


# -- service times, in seconds ---------------------------------------------------------


@frozen
class Exponential:
    """Memoryless: many short, some long; standard deviation = mean."""

    kind: ClassVar[str] = "exponential"
    mean: float = field(default=0.02, validator=number(0, above=True))

    def quantile(self, u: float) -> float:
        return -self.mean * log1p(-u)


@frozen
class Constant:
    """Always the same."""

    kind: ClassVar[str] = "constant"
    mean: float = field(default=0.02, validator=number(0, above=True))

    def quantile(self, u: float) -> float:
        return self.mean


@frozen
class LogNormal:
    """The usual shape of real response times. `cv` is standard deviation / mean."""

    kind: ClassVar[str] = "lognormal"
    mean: float = field(default=0.02, validator=number(0, above=True))
    cv: float = field(default=1.0, validator=number(0, above=True))

    def quantile(self, u: float) -> float:
        if u <= 0.0:
            return 0.0
        variance = log1p(self.cv**2)
        return self.mean * exp(sqrt(variance) * _NORMAL.inv_cdf(u) - variance / 2)


@frozen
class Pareto:
    """A heavy tail: below `alpha` 2 the variance is infinite."""

    kind: ClassVar[str] = "pareto"
    mean: float = field(default=0.02, validator=number(0, above=True))
    alpha: float = field(default=2.1, validator=number(1, above=True))

    def quantile(self, u: float) -> float:
        shortest = self.mean * (self.alpha - 1) / self.alpha
        return float(shortest * (1 - u) ** (-1 / self.alpha))


@frozen
class Bimodal:
    """Mostly `fast`, a share `slow_share` of `slow`: cache hits and misses, pages and reports."""

    kind: ClassVar[str] = "bimodal"
    fast: float = field(default=0.01, validator=number(0, above=True))
    slow: float = field(default=0.2, validator=number(0, above=True))
    slow_share: float = field(default=0.05, validator=number(0, 1))

    def __attrs_post_init__(self) -> None:
        if self.slow < self.fast:
            raise ValueError(f"slow is {self.slow!r}: use at least what fast is, {self.fast!r}")

    @property
    def mean(self) -> float:
        return self.fast * (1 - self.slow_share) + self.slow * self.slow_share

    def quantile(self, u: float) -> float:
        return self.slow if u >= 1 - self.slow_share else self.fast


def _sorted(what: Iterable[float]) -> tuple[float, ...]:
    return tuple(sorted(what))


@frozen
class Empirical:
    """As measured: one of these times, each as likely as the others."""

    kind: ClassVar[str] = "empirical"
    times: tuple[float, ...] = field(converter=_sorted)

    @times.validator
    def _check(self, attribute: attrs.Attribute[Any], value: tuple[float, ...]) -> None:
        if not value or not value[0] > 0 or not value[-1] < inf:
            raise ValueError("times must be seconds above 0, one at least")

    @property
    def mean(self) -> float:
        return sum(self.times) / len(self.times)

    def quantile(self, u: float) -> float:
        return self.times[int(u * len(self.times))]


Service = Exponential | Constant | LogNormal | Pareto | Bimodal | Empirical


# -- arrivals; rates in requests a second ---------------------------------------------------------


@frozen
class Poisson:
    """Many independent clients: gaps are exponential. Open loop: clients do not wait for answers."""

    kind: ClassVar[str] = "poisson"
    rate: float = field(default=100.0, validator=number(0, above=True))


@frozen
class ConstantRate:
    """A metronome, open loop."""

    kind: ClassVar[str] = "constant"
    rate: float = field(default=100.0, validator=number(0, above=True))


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


@frozen
class Closed:
    """A fixed crowd, closed loop: each of `users` sends, waits for the answer, thinks, sends again.

    Slow servers are asked less: such a crowd cannot overload them. Thinking
    takes `think` seconds on average, exponential."""

    kind: ClassVar[str] = "closed"
    users: int = field(default=10, validator=whole(1))
    think: float = field(default=1.0, validator=number(0))


Arrivals = Poisson | ConstantRate | OnOff | Profile | Trace | Closed

"""Service-time distributions: how long a server works on a request, in seconds.

A service time is a quantile, `quantile(u)` for u in [0, 1): the draw u belongs to the request, the
distribution to the server. So a request that is long on one server is long on every server, and algorithms
are compared on the same work.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, log, log1p, sqrt
from statistics import NormalDist
from typing import Any, ClassVar

import attrs
from attrs import field, frozen

from lbkit.checks import number, several
from lbkit.core.options import named_fields, real
from lbkit.core.text import brief

_NORMAL = NormalDist()
_SECONDS = number(1e-9, 1e7)


@named_fields
@frozen
class Exponential:
    """Memoryless: many short times, some long ones; the standard deviation is the mean."""

    kind: ClassVar[str] = "exponential"
    mean: float = field(default=0.02, validator=_SECONDS)

    def quantile(self, u: float) -> float:
        return -self.mean * log(1.0 - u)  # exact for draws of random(): multiples of 2^-53


@named_fields
@frozen
class Constant:
    """The same time for every request."""

    kind: ClassVar[str] = "constant"
    mean: float = field(default=0.02, validator=_SECONDS)

    def quantile(self, u: float) -> float:
        return self.mean


@named_fields
@frozen
class LogNormal:
    """The usual shape of real response times. `cv` is the standard deviation over the mean."""

    kind: ClassVar[str] = "lognormal"
    mean: float = field(default=0.02, validator=_SECONDS)
    cv: float = field(default=1.0, validator=number(1e-6, 1e3))

    def quantile(self, u: float) -> float:
        if u <= 0.0:
            return 0.0
        variance = log1p(self.cv**2)
        return self.mean * exp(sqrt(variance) * _NORMAL.inv_cdf(u) - variance / 2)


@named_fields
@frozen
class Pareto:
    """A heavy tail; for `alpha` up to 2 the variance is infinite."""

    kind: ClassVar[str] = "pareto"
    mean: float = field(default=0.02, validator=_SECONDS)
    alpha: float = field(default=2.1, validator=number(1, 1e6, above=True))

    def quantile(self, u: float) -> float:
        shortest = self.mean * (self.alpha - 1) / self.alpha
        return float(shortest * (1 - u) ** (-1 / self.alpha))


@named_fields
@frozen
class Bimodal:
    """`slow` for a share `slow_share` of the requests, such as cache misses or reports, else `fast`."""

    kind: ClassVar[str] = "bimodal"
    fast: float = field(default=0.01, validator=_SECONDS)
    slow: float = field(default=0.2, validator=_SECONDS)
    slow_share: float = field(default=0.05, validator=number(0, 1))

    def __attrs_post_init__(self) -> None:
        if self.slow < self.fast:
            raise ValueError(f"slow is {self.slow!r}: use at least what fast is, {self.fast!r}")

    @property
    def mean(self) -> float:
        return self.fast * (1 - self.slow_share) + self.slow * self.slow_share

    def quantile(self, u: float) -> float:
        return self.slow if u >= 1 - self.slow_share else self.fast


def _sorted(what: float | Iterable[float]) -> tuple[float, ...]:
    times = several(what)
    return tuple(sorted(times)) if all(map(real, times)) else times


@named_fields
@frozen
class Empirical:
    """Measured times, each as likely as the others."""

    kind: ClassVar[str] = "empirical"
    times: tuple[float, ...] = field(converter=_sorted, repr=brief)

    @times.validator
    def _check(self, attribute: attrs.Attribute[Any], value: tuple[float, ...]) -> None:
        if not value or not all(real(seconds) and 0 < seconds <= 1e7 for seconds in value):
            raise ValueError("times must be seconds above 0 and at most 1e+07, one at least")

    @property
    def mean(self) -> float:
        return sum(self.times) / len(self.times)

    def quantile(self, u: float) -> float:
        return self.times[int(u * len(self.times))]


Service = Exponential | Constant | LogNormal | Pareto | Bimodal | Empirical

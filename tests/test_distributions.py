from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import arrivals, services

from lbkit import Bimodal, Closed, Constant, Exponential, LogNormal, OnOff, Pareto, Poisson, Trace
from lbkit.arrivals import Arrivals
from lbkit.distributions import Service

draws = st.floats(0, 1, exclude_max=True)


@given(services, draws, draws)
@example(LogNormal(), 0.0, 5e-324)
def test_a_larger_draw_is_a_longer_service(service: Service, u: float, v: float) -> None:
    low, high = sorted([u, v])
    assert 0 <= service.quantile(low) <= service.quantile(high) * (1 + 1e-12) < math.inf


@pytest.mark.parametrize(
    "service",
    [
        Exponential(0.02),
        Constant(3),
        LogNormal(0.02, cv=0.5),
        LogNormal(1, cv=3),
        Pareto(0.02, alpha=3),
        Pareto(1, alpha=2.1),
        Bimodal(0.01, 0.2, slow_share=0.05),
        Bimodal(slow_share=0),
        Bimodal(slow_share=1),
    ],
    ids=repr,
)
def test_the_mean_is_the_mean(service: Service) -> None:
    """The integral of the quantile over (0, 1), on a grid that gets finer towards the tail at 1."""
    edges = [i / 5000 for i in range(5000)] + [1 - 0.0002 * 0.8**k for k in range(110)]
    integral = sum(service.quantile((a + b) / 2) * (b - a) for a, b in pairwise(edges))
    assert integral == pytest.approx(service.mean, rel=0.01)


@pytest.mark.parametrize(
    ("service", "u", "seconds"),
    [
        (Exponential(2), 0.5, 2 * math.log(2)),  # the median is mean x ln 2
        (Exponential(2), 1 - math.exp(-3), 6),
        (Constant(2), 0.99, 2),
        (LogNormal(1, cv=1), 0.5, 1 / math.sqrt(2)),  # median = mean / sqrt(1 + cv^2)
        (Pareto(3, alpha=3), 0, 2),  # the shortest is mean (alpha - 1) / alpha
        (Pareto(3, alpha=3), 7 / 8, 4),  # P(X > x) = (2 / x)^3
        (Bimodal(1, 9, slow_share=0.25), 0.74, 1),
        (Bimodal(1, 9, slow_share=0.25), 0.75, 9),
        (Bimodal(1, 9, slow_share=0), 1 - 1e-16, 1),
        (Bimodal(1, 9, slow_share=1), 0, 9),
    ],
    ids=repr,
)
def test_known_quantiles(service: Service, u: float, seconds: float) -> None:
    assert service.quantile(u) == pytest.approx(seconds)


def test_lognormal_has_the_deviation_it_says() -> None:
    service = LogNormal(2.0, cv=0.7)
    n = 20_000
    values = [service.quantile((i + 0.5) / n) for i in range(n)]
    mean = sum(values) / n
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / n)
    assert deviation / mean == pytest.approx(0.7, rel=0.01)


@given(arrivals)
def test_a_rate_is_known_but_in_a_closed_loop(process: Arrivals) -> None:
    assert isinstance(process, Closed) or process.mean_rate(10.0) >= 0


def test_rates() -> None:
    assert OnOff(peak=200, on=1, off=3).rate == 50
    assert OnOff(peak=200, on=1, off=0).rate == 200
    assert Trace([1, 2, 4]).times == (1, 2, 4)


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "1", True, None], ids=repr)
def test_a_mean_is_a_positive_number(value: object) -> None:
    with pytest.raises(ValueError, match=r"mean is .*: use a number at least 1e-09"):
        Exponential(value)
    with pytest.raises(ValueError, match=r"rate is .*: use a number at least 1e-09"):
        Poisson(value)


@pytest.mark.parametrize("value", [0, -1, 1.0, "1", True], ids=repr)
def test_users_are_whole(value: object) -> None:
    with pytest.raises(ValueError, match=r"users is .*: use a whole number of at least 1"):
        Closed(value)


def test_kinds_tell_them_apart() -> None:
    for union in (Service, Arrivals):
        kinds = [cls.kind for cls in union.__args__]
        assert len(set(kinds)) == len(kinds)


EXTREME = [0, 1e-320, 1e-9, 1e9, 1e300, 1.7e308, 10**400, -1, math.nan, math.inf]
FIELDS = [
    *((Exponential, "mean"), (Constant, "mean"), (LogNormal, "mean"), (LogNormal, "cv"), (Pareto, "mean")),
    *((Pareto, "alpha"), (Bimodal, "fast"), (Bimodal, "slow"), (Bimodal, "slow_share")),
]


@pytest.mark.parametrize("value", EXTREME, ids=lambda v: f"{v:.0e}" if isinstance(v, float) else str(v)[:6])
@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_a_service_time_is_refused_by_name_or_finite(kind: type, name: str, value: float) -> None:
    try:
        service = kind(**{name: value})
    except ValueError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert re.match(rf"{name} is .*: use|slow is .*: use at least what fast is", refused)
        return
    for u in (0.0, 0.5, 1 - 2**-53):
        assert 0 <= service.quantile(u) < 1e300
    assert 0 < service.mean <= 1e7

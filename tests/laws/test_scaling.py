from __future__ import annotations

import random
from math import inf, isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.laws import Scalability, fit_scalability

LAWS = st.builds(
    Scalability,
    rate=st.floats(0.01, 1e5),
    contention=st.floats(0, 0.9),
    coherency=st.floats(0, 0.2),
)
SIZES = (1, 2, 4, 8, 16, 32)


def measured(law: Scalability, noise: float = 0.0, seed: int = 1) -> list[tuple[float, float]]:
    rng = random.Random(seed)
    return [(n, law.throughput(n) * rng.gauss(1, noise)) for n in SIZES for _ in range(3)]


@given(law=LAWS)
def test_exact_measurements_give_the_law_back(law: Scalability) -> None:
    found = fit_scalability(measured(law)).law
    assert found.rate == pytest.approx(law.rate, rel=1e-6)
    assert found.contention == pytest.approx(law.contention, abs=1e-6)
    assert found.coherency == pytest.approx(law.coherency, abs=1e-6)


@given(law=LAWS, factor=st.floats(0.01, 100), seed=st.integers(0, 99))
def test_the_unit_of_the_throughput_changes_the_rate_only(law: Scalability, factor: float, seed: int) -> None:
    points = measured(law, 0.02, seed)
    one, other = fit_scalability(points), fit_scalability([(n, factor * x) for n, x in points])
    assert other.law.rate == pytest.approx(factor * one.law.rate, rel=1e-6)
    assert other.law.contention == pytest.approx(one.law.contention, abs=1e-6)
    assert other.coherency.half == pytest.approx(one.coherency.half, rel=1e-4, abs=1e-9)


@given(law=LAWS, seed=st.integers(0, 99))
def test_it_fits_no_worse_than_the_law_that_made_the_points(law: Scalability, seed: int) -> None:
    points = measured(law, 0.05, seed)

    def error(of: Scalability) -> float:
        return sum((x / of.throughput(n) - 1) ** 2 for n, x in points)

    assert error(fit_scalability(points).law) <= error(law) * (1 + 1e-9) + 1e-12


@given(law=LAWS)
def test_no_other_number_of_workers_does_more_than_the_best(law: Scalability) -> None:
    most = law.throughput(min(law.best, 1e6))
    assert all(law.throughput(n) <= most * (1 + 1e-9) for n in (1, 2, 3, 5, 10, 100, 1e4))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    law = Scalability(100, 0.05, 0.002)
    fits = [fit_scalability(measured(law, 0.02, seed)) for seed in range(300)]
    for name in ("rate", "contention", "coherency"):
        held = sum(getattr(law, name) in getattr(fit, name) for fit in fits) / len(fits)
        assert 0.92 < held < 0.98, name


def test_without_contention_the_throughput_grows_in_proportion() -> None:
    law = fit_scalability([(n, 20.0 * n) for n in SIZES]).law
    assert law.throughput(100) == pytest.approx(2000)
    assert law.best > 1e3  # nothing but rounding


def test_numbers_below_zero_are_set_to_zero() -> None:
    """More than twice the throughput with twice the workers: a cache, or a mistake of the measurement."""
    fit = fit_scalability([(1, 10), (2, 24), (4, 60), (8, 130)])
    assert (fit.law.contention, fit.law.coherency) == (0, 0)
    assert fit.law.best == inf
    assert 0 < fit.contention.half < inf


def test_amdahl_never_falls_and_two_are_not_enough_for_more() -> None:
    assert Scalability(10, 0.1).best == inf
    assert Scalability(10, 0.1).throughput(1e9) == pytest.approx(100)
    assert Scalability(10, 0.0, 2.0).best == 1


def test_three_points_give_a_law_without_an_interval() -> None:
    fit = fit_scalability([(1, 10), (2, 18), (4, 28)])
    assert fit.rate.half == inf
    assert isfinite(fit.law.rate)


def test_the_text_has_all_numbers() -> None:
    assert str(fit_scalability(measured(Scalability(100, 0.05, 0.002), 0.01))).startswith("one does ")


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ([(1, 10), (2, 18)], "three different N"),
        ([(0, 10), (2, 18), (3, 20)], "N is 0"),
        ([(1, 0), (2, 18), (3, 20)], "throughput is 0"),
        ([(1, 10), (2, float("nan")), (3, 20)], "throughput is nan"),
    ],
)
def test_what_cannot_be_fitted_is_refused(points: list[tuple[float, float]], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        fit_scalability(points)


def test_a_law_needs_numbers_that_make_sense() -> None:
    with pytest.raises(ValueError, match="rate is 0"):
        Scalability(0)
    with pytest.raises(ValueError, match="coherency is -1"):
        Scalability(1, 0, -1)
    with pytest.raises(ValueError, match="workers is 0"):
        Scalability(1).throughput(0)

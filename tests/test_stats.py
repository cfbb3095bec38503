from __future__ import annotations

import math
import random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.stats import Interval, busy_time, interval, mean, mean_level, stands_out, student_t, transient


@pytest.mark.parametrize(
    ("freedom", "t95", "t99"),
    [(1, 12.706, 63.657), (2, 4.303, 9.925), (3, 3.182, 5.841), (9, 2.262, 3.250), (30, 2.042, 2.750)],
)
def test_students_table(freedom: int, t95: float, t99: float) -> None:
    assert student_t(0.95, freedom) == pytest.approx(t95, abs=5e-4)
    assert student_t(0.99, freedom) == pytest.approx(t99, abs=5e-4)


def test_student_becomes_normal() -> None:
    assert student_t(0.95, 100_000) == pytest.approx(1.95996, abs=1e-4)
    with pytest.raises(ValueError, match="confidence is 95: use a number between 0 and 1"):
        student_t(95, 3)


def test_an_interval() -> None:
    found = interval([1.0, 2.0, 3.0])
    assert (found.mean, found.count) == (2, 3)
    assert found.half == pytest.approx(4.303 / math.sqrt(3), abs=1e-3)
    assert 0 in found
    assert 5 not in found
    assert str(found) == "2 ± 2.5"
    assert str(Interval(7.651, 0.8221, 10)) == "7.65 ± 0.82"
    assert str(Interval(450.4, 334.2, 10)) == "450 ± 334"


def test_an_interval_of_one_value_is_unbounded() -> None:
    assert interval([3.0]) == Interval(3.0, math.inf, 1)
    assert str(interval([3.0, math.nan])) == "3 ± ?"
    assert math.isnan(interval([]).mean)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = random.Random(1)
    held = sum(0 in interval([rng.gauss(0, 1) for _ in range(6)], 0.9) for _ in range(4000))
    assert held / 4000 == pytest.approx(0.9, abs=0.02)


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), min_size=1, max_size=30))
def test_the_mean_level_is_that_of_many_looks(stays: list[tuple[float, float]]) -> None:
    looks = [2 + 6 * (i + 0.5) / 3000 for i in range(3000)]
    seen = fmean(sum(a <= t < a + d for a, d in stays) for t in looks[::10])
    level = mean_level([a for a, _ in stays], [a + d for a, d in stays], 2, 8)
    assert level == pytest.approx(seen, abs=len(stays) * 2 * 10 / 3000 + 1e-9)


def test_means_leave_out_what_is_unknown() -> None:
    assert mean([1, math.nan, 3]) == 2
    assert math.isnan(mean([]))


def test_a_transient_is_found_where_it_ends() -> None:
    rng = random.Random(1)
    warm = [5 * math.exp(-i / 100) + rng.random() for i in range(4000)]
    assert 200 <= transient(warm) <= 700
    steady = [rng.random() for _ in range(4000)]
    assert transient(steady) < 400
    growing = [i / 1000 + rng.random() for i in range(4000)]
    assert transient(growing) > 3000  # it never ends
    assert transient([]) == transient([1.0]) == 0


def test_busy_time_is_that_of_the_workers_within_the_window() -> None:
    stays = [(0.0, 4.0), (1.0, 3.0), (2.0, 3.0), (9.0, 20.0)]
    assert busy_time(stays, 1, 0, 10) == 4 + 1
    assert busy_time(stays, 2, 0, 10) == 4 + 2 + 1
    assert busy_time(stays, 3, 0, 10) == 4 + 2 + 1 + 1
    assert busy_time(stays, 3, 2.5, 9.5) == 1.5 + 0.5 + 0.5 + 0.5
    assert busy_time([], 1, 0, 10) == 0


def test_what_comes_before_a_point_stands_out_if_it_differs_by_more_than_chance() -> None:
    rng = random.Random(1)
    steady = [rng.random() for _ in range(4000)]
    assert not any(stands_out(steady, point) for point in range(200, 3600, 200))
    assert stands_out([value + (i < 800) for i, value in enumerate(steady)], 800)
    assert stands_out([i / 1000 + value for i, value in enumerate(steady)], 3000)
    assert not stands_out([1.0] * 4000, 800)
    assert stands_out([1.0, 2.0], 1)  # too few to tell

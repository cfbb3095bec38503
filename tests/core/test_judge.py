"""The test of a new version, its p-values and its false alarms."""

from __future__ import annotations

import random
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.judge import Counts, fails_more, p_value


def exactly(old: Counts, new: Counts) -> float:
    """Fisher's p-value in whole numbers."""
    total, errors = old.requests + new.requests, old.errors + new.errors
    ways = sum(
        comb(errors, k) * comb(total - errors, new.requests - k)
        for k in range(new.errors, min(errors, new.requests) + 1)
    )
    return ways / comb(total, new.requests)


def test_the_lady_tasting_tea() -> None:
    """Fisher, The Design of Experiments, 1935: four cups of eight; all right, and three of four right."""
    assert p_value(Counts(4, 0), Counts(4, 4)) == pytest.approx(1 / 70)
    assert p_value(Counts(4, 1), Counts(4, 3)) == pytest.approx(17 / 70)


counts = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: Counts(max(pair), min(pair)))


@given(counts, counts)
def test_p_values_are_those_of_whole_numbers(old: Counts, new: Counts) -> None:
    assert p_value(old, new) == pytest.approx(exactly(old, new), abs=1e-9)


def test_without_requests_nothing_is_judged() -> None:
    assert not fails_more(Counts(), Counts(), 0.01)
    assert not fails_more(Counts(1000, 0), Counts(), 0.01)
    assert not fails_more(Counts(1000, 0), Counts(1000, 0), 0.01)


def binomial(rng: random.Random, requests: int, rate: float) -> int:
    return sum(rng.random() < rate for _ in range(requests))


def rejected(new_rate: float, trials: int, looks: int, share_of_looks: int) -> float:
    """Return how often a version is rejected in one of `looks` looks, each after 100 requests more; the old
    version has three times as many, of which 2 % fail."""
    rng = random.Random(7)
    count = 0
    for _ in range(trials):
        old = new = Counts()
        for _ in range(looks):
            old += Counts(300, binomial(rng, 300, 0.02))
            new += Counts(100, binomial(rng, 100, new_rate))
            if fails_more(old, new, 0.05, share_of_looks):
                count += 1
                break
    return count / trials


def test_false_alarms_stay_below_the_rate_that_is_stated() -> None:
    """An equally good version, five looks: at most 5 %, and three deviations of 600 trials."""
    assert rejected(0.02, 600, looks=5, share_of_looks=5) <= 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5


def test_looks_that_do_not_share_the_rate_raise_more_false_alarms() -> None:
    assert rejected(0.02, 600, looks=5, share_of_looks=1) > 1.5 * rejected(
        0.02, 600, looks=5, share_of_looks=5
    )


def test_a_version_that_fails_four_times_as_often_is_nearly_always_rejected() -> None:
    assert rejected(0.08, 200, looks=5, share_of_looks=5) > 0.9

"""Numbers of the literature, found again by playing."""

from __future__ import annotations

import random

import pytest

from lbkit import Experiment, Exponential, Policy, Traffic, run, servers
from lbkit.core import Backend, Pool, make_balancer
from lbkit.sim import theory

CHOICES = {1: Policy("random"), 2: Policy("power_of_two"), 3: Policy("power_of_choices", {"choices": 3})}


@pytest.mark.parametrize(("choices", "time"), [(1, 5.0), (2, 1.9474), (3, 1.5809)])
def test_the_supermarket_at_80_percent(choices: int, time: float) -> None:
    """Mitzenmacher's table, which is for very many servers: a hundred are up to 4 % above."""
    traffic = Traffic(duration=600, warmup=100)
    hundred = Experiment(servers(100, service=Exponential(1.0)), traffic, CHOICES[choices]).at_load(0.8)
    mean = sum(run(hundred.but(seed=seed)).mean for seed in (1, 2)) / 2
    assert theory.supermarket_time(0.8, choices) == pytest.approx(time, abs=5e-5)
    assert 0.95 * time < mean < 1.06 * time


def test_the_supermarket_at_99_percent() -> None:
    """By its formula: a run would take very long to settle."""
    times = [theory.supermarket_time(0.99, choices) for choices in (1, 2, 3)]
    assert times == pytest.approx([100, 5.4320, 3.8578], abs=5e-5)


@pytest.mark.parametrize("choices", [1, 2, 3])
def test_the_fullest_of_as_many_bins(choices: int) -> None:
    """ln n / ln ln n for one choice, ln ln n / ln d for d, up to a constant: here 6 to 8, 3 to 4, and 3."""
    fullest = []
    for seed in range(3):
        policy = CHOICES[choices]
        bins = [Backend(str(i)) for i in range(10_000)]
        pool = Pool(bins, make_balancer(policy.algorithm, random.Random(seed), **policy.options))
        for _ in range(10_000):
            pool.pick("k", 0.0)
        fullest.append(max(b.in_flight for b in bins))
    expected = theory.fullest_bin(10_000, choices)
    most = 2 * expected if choices == 1 else expected + 1
    assert all(int(expected) <= found <= most for found in fullest), fullest

"""Numbers from the literature, reproduced by simulation."""

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


@pytest.mark.parametrize(("balancers", "time"), [(10, 1.4286), (20, 1.8182)])
def test_join_idle_queue_with_several_balancers(balancers: int, time: float) -> None:
    """The formula of Lu et al. at n = 200 and a load of 90 %; measured: 1.46 and 1.84.

    They assume that servers in a queue are idle. Here one that gets a request at random meanwhile stays in
    its queue, which costs a little. Tolerances are three standard errors."""
    traffic = Traffic(duration=400, warmup=150)
    fleet = servers(200, service=Exponential(1.0))
    policy = Policy("join_idle_queue", balancers=balancers)
    experiment = Experiment(fleet, traffic, policy).at_load(0.9)
    mean = sum(run(experiment.but(seed=seed)).mean for seed in (1, 2, 3)) / 3
    assert theory.jiq_time(0.9, 200 / balancers) == pytest.approx(time, abs=5e-5)
    assert mean == pytest.approx(time, rel=0.06)
    full_scan = run(experiment.but(policy=Policy("least_connections", balancers=balancers))).mean
    assert full_scan > 1.5 * mean  # with its own counts only, a balancer does not know which are idle


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

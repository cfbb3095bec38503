import math
import random
from statistics import NormalDist

import pytest

from lbkit.core.health import CheckRules, Health
from lbkit.sim import theory


@pytest.mark.parametrize(
    ("rho", "one", "two", "three"),
    [
        (0.5, 2, 1.2657, 1.1252),
        (0.7, 3.3333, 1.6145, 1.3568),
        (0.8, 5, 1.9474, 1.5809),
        (0.9, 10, 2.6141, 2.0279),
        (0.99, 100, 5.4320, 3.8578),
    ],
)
def test_supermarket_table(rho: float, one: float, two: float, three: float) -> None:
    for choices, time in ((1, one), (2, two), (3, three)):
        assert theory.supermarket_time(rho, choices) == pytest.approx(time, abs=5e-5)


def test_erlang_c_table() -> None:
    waits = {0.8: {1: 4, 2: 1.7778, 4: 0.7455}, 0.9: {1: 9, 2: 4.2632, 4: 1.9694}}
    for rho, by_workers in waits.items():
        for workers, wait in by_workers.items():
            assert theory.mmc_wait(workers, rho) == pytest.approx(wait, abs=5e-5)
    assert theory.erlang_c(4, 0.9) == pytest.approx(0.7878, abs=5e-5)


def test_percentiles_of_many_workers() -> None:
    """One worker is M/M/1; at no load only the service is left; there is no gap where rates are equal."""
    for rho in (0.0, 0.5, 0.9):
        assert theory.mmc_percentile(1, rho, 99) == pytest.approx(theory.mm1_percentile(rho, 99))
    assert theory.mmc_percentile(50, 0.0, 99) == pytest.approx(-math.log(0.01))
    near = [theory.mmc_percentile(4, 0.75 + by, 99) for by in (-1e-6, 0, 1e-6)]
    assert near[0] < near[1] < near[2] == pytest.approx(near[0], rel=1e-4)
    with pytest.raises(ValueError, match="q is 100"):
        theory.mmc_percentile(2, 0.5, 100)


@pytest.mark.parametrize("workers", [145, 146, 1000, 100_000])
def test_erlang_c_of_many_workers(workers: int) -> None:
    """It overflowed from 146 on. Near full load with many workers, Halfin and Whitt's limit holds."""
    beta = 1.0
    rho = 1 - beta / math.sqrt(workers)
    normal = NormalDist()
    limit = 1 / (1 + beta * normal.cdf(beta) / normal.pdf(beta))
    assert theory.erlang_c(workers, rho) == pytest.approx(limit, rel=0.5 / math.sqrt(workers) + 0.01)
    assert theory.erlang_c(workers, 0.0) == 0


def test_md1_waits_half_of_mm1() -> None:
    assert theory.md1_wait(0.8) == pytest.approx((theory.mm1_time(0.8) - 1) / 2)
    assert theory.mg1_wait(0.8, cv=1) == pytest.approx(theory.mm1_time(0.8) - 1)


def test_hashing() -> None:
    assert theory.moved_by_modulo(10) == pytest.approx(0.909, abs=5e-4)
    assert theory.moved_by_ring(10) == pytest.approx(0.0909, abs=5e-5)
    assert theory.ring_spread(100) == pytest.approx(0.1)


def test_wrong_arguments_are_refused_by_name() -> None:
    for name, call in {
        "rho": lambda: theory.mm1_time(1.0),
        "workers": lambda: theory.erlang_c(0, 0.5),
        "choices": lambda: theory.supermarket_time(0.5, 0),
        "q": lambda: theory.mm1_percentile(0.5, 100),
        "balls": lambda: theory.fullest_bin(3),
    }.items():
        with pytest.raises(ValueError, match=f"^{name} is "):
            call()


@pytest.mark.parametrize(
    ("share", "fall", "checks"), [(0.5, 1, 2), (0.5, 2, 6), (0.5, 3, 14), (0.1, 3, 1110)]
)
def test_checks_until_out_table(share: float, fall: int, checks: float) -> None:
    """Two heads in a row take six throws of a coin; three take fourteen."""
    assert theory.checks_until_out(share, fall) == pytest.approx(checks)


def test_checks_until_out_is_what_the_state_machine_does() -> None:
    rng = random.Random(5)
    rules = CheckRules(fall=3)
    counts = []
    for _ in range(2000):
        health, count = Health(rules), 0
        while health.state.in_service:
            health.observe(rng.random() >= 0.3)
            count += 1
        counts.append(count)
    expected = theory.checks_until_out(0.3, 3)
    assert sum(counts) / 2000 == pytest.approx(expected, rel=0.1)  # 4 deviations


def test_closed_forms_of_detection_refuse_what_has_none() -> None:
    assert theory.passive_detection(3, 10) == pytest.approx(0.3)
    for wrong in (0, 1):
        with pytest.raises(ValueError, match=f"share is {wrong}"):
            theory.checks_until_out(wrong, 3)
    with pytest.raises(ValueError, match="fall is 0"):
        theory.checks_until_out(0.1, 0)
    with pytest.raises(ValueError, match="rate is 0"):
        theory.passive_detection(3, 0)

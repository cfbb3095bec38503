from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core import Backend, Pool, make_balancer
from lbkit.core.balance import PowerOfTwo, Random


def chi_square(counts: Iterable[int]) -> float:
    counts = list(counts)
    expected = sum(counts) / len(counts)
    return sum((c - expected) ** 2 / expected for c in counts)


def seeded(balancer: Random | PowerOfTwo, seed: int = 1) -> Random | PowerOfTwo:
    balancer.rng = random.Random(seed)
    return balancer


def test_random_is_even() -> None:
    pool = Pool([Backend(f"b{i}") for i in range(10)], seeded(Random()))
    for i in range(20_000):
        pool.acquire("k", i)
    assert chi_square(b.picks for b in pool.backends) < 27.9  # 9 degrees of freedom: 1 in 1000 is above


def test_random_leaves_gaps_and_crowds() -> None:
    """Even in the long run only: of n bins, n balls leave about 1/e empty."""
    pool = Pool([Backend(f"b{i}") for i in range(1000)], seeded(Random()))
    for i in range(1000):
        pool.acquire("k", i)
    assert sum(b.picks == 0 for b in pool.backends) == pytest.approx(1000 / 2.71828, rel=0.1)
    assert max(b.picks for b in pool.backends) >= 4


loads = st.lists(st.integers(0, 20), min_size=2, max_size=8)


@given(loads, st.integers(0, 2**32))
def test_two_choices_never_take_the_busiest(in_flight: list[int], seed: int) -> None:
    pool = Pool([Backend(f"b{i}") for i in range(len(in_flight))], seeded(PowerOfTwo(), seed))
    for backend, n in zip(pool.backends, in_flight, strict=True):
        backend.in_flight = n
    most = max(in_flight)
    lease = pool.acquire("k", 0.0)
    if in_flight.count(most) == 1:  # it has been compared with somebody less busy
        assert lease.backend.in_flight - 1 < most


@given(st.integers(0, 9), st.integers(1, 9), st.integers(0, 2**32))
def test_of_two_never_the_busier(load: int, more: int, seed: int) -> None:
    """Drawn with replacement, the busier one would be picked a quarter of the time."""
    pool = Pool([Backend("idle"), Backend("busy")], seeded(PowerOfTwo(), seed))
    pool["idle"].in_flight, pool["busy"].in_flight = load, load + more
    assert pool.acquire("k", 0.0).backend.name == "idle"


def test_load_is_seen_in_proportion_to_weight() -> None:
    pool = Pool([Backend("small", weight=1), Backend("big", weight=4)], seeded(PowerOfTwo()))
    pool["small"].in_flight, pool["big"].in_flight = 1, 3
    assert pool.acquire("k", 0.0).backend.name == "big"


def test_every_pair_is_equally_likely() -> None:
    n, trials = 6, 30_000
    balancer = seeded(PowerOfTwo(), seed=2)
    pool = Pool([Backend(f"b{i}") for i in range(n)], balancer)
    for i, backend in enumerate(pool.backends):
        backend.in_flight = i
    wins = Counter(balancer.pick(pool.eligible, "k", 0.0).in_flight for _ in range(trials))
    # The k-th least busy wins the n-1-k pairs it makes with busier ones, of n(n-1)/2 pairs.
    expected = [trials * (n - 1 - k) / (n * (n - 1) / 2) for k in range(n - 1)]
    assert wins[n - 1] == 0
    assert sum((wins[k] - e) ** 2 / e for k, e in enumerate(expected)) < 18.5  # 4 degrees of freedom


def test_ties_are_broken_evenly() -> None:
    pool = Pool([Backend(f"b{i}") for i in range(5)], seeded(PowerOfTwo()))
    for i in range(10_000):
        pool.acquire("k", i).release(True, i)
    assert chi_square(b.picks for b in pool.backends) < 18.5


# -- weights and more looks -----------------------------------------------------------------------


def test_chances_follow_weights() -> None:
    backends = [Backend("a", weight=1), Backend("b", weight=2.5), Backend("c", weight=0.5)]
    pool = Pool(backends, make_balancer("weighted_random", random.Random(3)))
    for _ in range(20_000):
        pool.acquire("k", 0.0)
    expected = [20_000 * b.weight / 4 for b in backends]
    found = sum((b.picks - e) ** 2 / e for b, e in zip(backends, expected, strict=True))
    assert found < 13.8  # 2 degrees of freedom: 1 in 1000


def test_all_choices_are_a_scan_and_one_is_chance() -> None:
    busy, idle = Backend("busy"), Backend("idle")
    busy.in_flight = 5
    pool = Pool([busy, idle], make_balancer("power_of_choices", random.Random(1), choices=2))
    assert all(pool.balancer.pick(pool.eligible, "k", 0.0) is idle for _ in range(50))
    pool.switch(make_balancer("power_of_choices", random.Random(1), choices=1))
    picks = [pool.balancer.pick(pool.eligible, "k", 0.0) for _ in range(2000)]
    assert picks.count(busy) == pytest.approx(1000, abs=140)


def test_with_replacement_the_busier_of_two_is_picked_a_quarter_of_the_time() -> None:
    busy, idle = Backend("busy"), Backend("idle")
    busy.in_flight = 5
    balancer = make_balancer("power_of_choices", random.Random(1), choices=2, replacement=True)
    pool = Pool([busy, idle], balancer)
    picks = [balancer.pick(pool.eligible, "k", 0.0) for _ in range(4000)]
    assert picks.count(busy) == pytest.approx(1000, abs=110)  # 4 standard errors


def test_drawn_twice() -> None:
    """With replacement the busier of two is picked a quarter of the time: whenever both draws are it."""
    backends = [Backend("busy"), Backend("idle")]
    backends[0].in_flight = 10
    for replacement, share in ((True, 0.25), (False, 0.0)):
        balancer = make_balancer("power_of_choices", random.Random(1), choices=2, replacement=replacement)
        balancer.rebuild(backends)
        picks = Counter(balancer.pick(backends, "k", 0.0).name for _ in range(8000))
        assert picks["busy"] / 8000 == pytest.approx(share, abs=0.02)


def test_heavier_ones_are_drawn_more_often() -> None:
    backends = [Backend("light"), Backend("heavy", weight=9), Backend("other")]
    for replacement in (True, False):
        options = {"choices": 1, "replacement": replacement, "weighted": True}
        pool = Pool(backends, make_balancer("power_of_choices", random.Random(1), **options))
        picks = Counter(pool.balancer.pick(pool.eligible, "k", 0.0).name for _ in range(4000))
        assert picks["heavy"] / 4000 == pytest.approx(9 / 11, abs=0.03)


def test_anomalies_are_steered_away_from_and_forgiven() -> None:
    pool = Pool([Backend(n) for n in "abcd"], make_balancer("anomaly_mitigation", random.Random(1)))

    def share_of_a(start: float, seconds: int, fails: bool) -> float:
        picks = Counter[str]()
        for i in range(seconds * 50):
            lease = pool.acquire("k", start + i / 50)
            picks[lease.backend.name] += 1
            lease.release(not (fails and lease.backend.name == "a"), start + i / 50 + 0.01)
        return picks["a"] / picks.total()

    assert share_of_a(0, 5, fails=True) == pytest.approx(0.25, abs=0.08)
    share_of_a(5, 35, fails=True)
    assert share_of_a(40, 20, fails=True) < 0.06
    share_of_a(60, 40, fails=False)
    assert share_of_a(100, 20, fails=False) == pytest.approx(0.25, abs=0.05)

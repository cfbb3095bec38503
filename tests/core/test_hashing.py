from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean, pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core import Backend, Balancer, Pool
from lbkit.core.balance import ConsistentHash, IPHash
from lbkit.core.balance.hashing import hash64

KEYS = [f"10.{i >> 8}.{i & 255}.7" for i in range(5000)]


def owners(pool: Pool, keys: Sequence[str] = KEYS) -> dict[str, str]:
    return {key: pool.balancer.pick(pool.eligible, key, 0.0).name for key in keys}


def pool_of(n: int, balancer: Balancer) -> Pool:
    return Pool([Backend(f"b{i}") for i in range(n)], balancer)


def moved(before: dict[str, str], after: dict[str, str]) -> float:
    return sum(before[key] != after[key] for key in before) / len(before)


def test_the_hash_is_the_same_everywhere() -> None:
    assert hash64("") == 0xE4A6A0577479B2B4
    assert hash64("10.0.0.1") == 0x538EF646E14D03E6


def test_a_client_stays() -> None:
    pool = pool_of(7, IPHash())
    first = owners(pool)
    for key in KEYS:
        pool.acquire(key, 0.0)
    assert owners(pool) == first
    assert owners(pool_of(7, IPHash())) == first  # another proxy agrees, without talking


def test_modulo_moves_nearly_everybody() -> None:
    pool = pool_of(10, IPHash())
    before = owners(pool)
    pool.add(Backend("b10"))
    assert moved(before, owners(pool)) == pytest.approx(10 / 11, abs=0.02)


def test_modulo_is_even() -> None:
    counts = Counter(owners(pool_of(10, IPHash())).values())
    assert sum((c - 500) ** 2 / 500 for c in counts.values()) < 27.9  # 9 degrees of freedom: 1 in 1000


# -- the ring --------------------------------------------------------------------------

weights = st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0]), min_size=2, max_size=7)


@given(weights, st.data())
def test_only_the_keys_of_the_one_that_leaves_move(weights: list[float], data: st.DataObject) -> None:
    pool = Pool([Backend(f"b{i}", weight=w) for i, w in enumerate(weights)], ConsistentHash(points=20))
    leaving = data.draw(st.sampled_from(pool.backends)).name
    keys = KEYS[:300]
    before = owners(pool, keys)
    gone = pool.remove(leaving)
    after = owners(pool, keys)
    for key in keys:
        assert after[key] == before[key] if before[key] != leaving else after[key] != leaving
    pool.add(gone)  # now last in the pool's order: the order does not matter
    assert owners(pool, keys) == before


def test_one_more_takes_its_share_and_no_other_key_moves() -> None:
    pool = pool_of(10, ConsistentHash())
    before = owners(pool)
    pool.add(Backend("b10"))
    after = owners(pool)
    assert moved(before, after) == pytest.approx(1 / 11, abs=0.02)
    assert {after[key] for key in KEYS if after[key] != before[key]} == {"b10"}


@given(weights, st.data())
def test_a_retry_goes_where_the_key_would_go_without_the_tried_ones(
    weights: list[float], data: st.DataObject
) -> None:
    pool = Pool([Backend(f"b{i}", weight=w) for i, w in enumerate(weights)], ConsistentHash(points=5))
    tried = data.draw(st.sets(st.sampled_from(pool.backends), max_size=len(weights) - 1))
    without = Pool([b for b in pool.backends if b not in tried], ConsistentHash(points=5))
    for key in KEYS[:100]:
        expected = without.balancer.pick(without.eligible, key, 0.0)
        assert pool.balancer.pick_except(pool.eligible, tried, key, 0.0) is expected


def test_shares_follow_weights() -> None:
    pool = Pool([Backend("one", weight=1), Backend("three", weight=3)], ConsistentHash(points=500))
    counts = Counter(owners(pool).values())
    assert counts["three"] / len(KEYS) == pytest.approx(0.75, abs=0.04)
    pool.set_weight("three", 1)
    assert Counter(owners(pool).values())["three"] / len(KEYS) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("points", [1, 10, 100])
def test_more_points_even_out_the_shares(points: int) -> None:
    """The spread of shares is about 1/sqrt(points): 0.998, 0.315, 0.0997 (Lamping and Veach)."""
    n, keys = 300, [f"key {i}" for i in range(30_000)]
    pool = pool_of(n, ConsistentHash(points=points))
    counts = Counter(owners(pool, keys).values())
    shares = [counts[b.name] for b in pool.backends]
    spread = pvariance(shares) / fmean(shares) ** 2
    counting = n / len(keys)  # the keys are a sample, too
    assert (spread - counting) ** 0.5 == pytest.approx(points**-0.5, rel=0.15)


def test_tiny_weights_still_have_a_point() -> None:
    pool = Pool([Backend("a", weight=1e-6), Backend("b", weight=1e-6)], ConsistentHash(points=1))
    assert len(set(owners(pool, KEYS[:2000]).values())) == 2


def test_points_stay_where_they_are_between_rebuilds() -> None:
    balancer = ConsistentHash()
    pool = pool_of(3, balancer)
    stand = balancer._stands[pool["b0"]]
    pool.set_health("b1", False)
    assert balancer._stands[pool["b0"]] is stand
    pool.set_weight("b0", 2)
    assert balancer._stands[pool["b0"]] is not stand

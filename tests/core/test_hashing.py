from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from statistics import fmean, pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core import Backend, Balancer, Pool, make_balancer
from lbkit.core.balance import (
    BoundedHash,
    ConsistentHash,
    HaproxyRing,
    IPHash,
    Maglev,
    MultiProbe,
    NginxRing,
)
from lbkit.core.balance.jump_hash import jump
from lbkit.core.hashing import GOLDEN, hash64, place64

KEYS = [f"10.{i >> 8}.{i & 255}.7" for i in range(5000)]


def owners(pool: Pool, keys: Sequence[str] = KEYS) -> dict[str, str]:
    return {key: pool.balancer.pick(pool.eligible, key, 0.0).name for key in keys}


def pool_of(n: int, balancer: Balancer) -> Pool:
    return Pool([Backend(f"b{i}") for i in range(n)], balancer)


def moved(before: dict[str, str], after: dict[str, str]) -> float:
    return sum(before[key] != after[key] for key in before) / len(before)


def test_the_hash_is_the_same_everywhere() -> None:
    assert hash64("") == 0
    assert hash64("123456789") == 0xCBF43926 * GOLDEN % 2**64  # CRC-32's check value
    assert place64("") == 0xE4A6A0577479B2B4


def test_a_client_stays() -> None:
    pool = pool_of(7, IPHash())
    first = owners(pool)
    for key in KEYS:
        pool.acquire(key, 0.0)
    assert owners(pool) == first
    assert owners(pool_of(7, IPHash())) == first  # another proxy agrees, without talking


def test_modulo_moves_nearly_all_keys() -> None:
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
def test_only_the_keys_of_a_backend_that_leaves_move(weights: list[float], data: st.DataObject) -> None:
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
    n, keys = 300, [f"key {i}" for i in range(120_000)]
    pool = pool_of(n, ConsistentHash(points=points))
    counts = Counter(owners(pool, keys).values())
    shares = [counts[b.name] for b in pool.backends]
    spread = pvariance(shares) / fmean(shares) ** 2
    counting = n / len(keys)  # the keys are a sample, too
    assert (spread - counting) ** 0.5 == pytest.approx(points**-0.5, rel=0.15)


def test_tiny_weights_still_have_a_point() -> None:
    pool = Pool([Backend("a", weight=1e-6), Backend("b", weight=1e-6)], ConsistentHash(points=1))
    assert len(set(owners(pool, KEYS[:2000]).values())) == 2


# -- tables and lots ------------------------------------------------------------------------------

KEYED = ["consistent_hash", "rendezvous", "maglev", "multi_probe", "bounded_hash"]


@pytest.mark.parametrize("algorithm", KEYED)
def test_the_order_of_the_pool_does_not_matter(algorithm: str) -> None:
    """So all proxies agree, whatever the order of their backends."""
    names = [f"b{i}" for i in range(8)]
    one = owners(Pool([Backend(n) for n in names], make_balancer(algorithm)), KEYS[:500])
    other = owners(Pool([Backend(n) for n in reversed(names)], make_balancer(algorithm)), KEYS[:500])
    assert one == other


@pytest.mark.parametrize(
    ("algorithm", "most"),
    [("consistent_hash", 0.12), ("rendezvous", 0.12), ("multi_probe", 0.13), ("maglev", 0.14)],
)
def test_a_backend_that_leaves_moves_hardly_more_than_its_own_keys(algorithm: str, most: float) -> None:
    pool = pool_of(10, make_balancer(algorithm))
    before = owners(pool)
    pool.remove("b4")
    after = owners(pool)
    assert moved(before, after) < most
    if algorithm != "maglev":  # whose table is filled anew
        assert all(after[key] == owner for key, owner in before.items() if owner != "b4")


@pytest.mark.parametrize("algorithm", ["rendezvous", "maglev"])
def test_weights_are_exact(algorithm: str) -> None:
    pool = Pool([Backend("one"), Backend("three", weight=3)], make_balancer(algorithm))
    counts = Counter(owners(pool).values())
    assert counts["three"] / len(KEYS) == pytest.approx(0.75, abs=0.025)


@pytest.mark.parametrize(
    ("key", "bucket"), [(10863919174838991, 6), (2016238256797177309, 3), (1673758223894951030, 5)]
)
def test_jump_as_others_have_it(key: int, bucket: int) -> None:
    assert jump(key, 11) == bucket  # Guava, HashingTest.testConsistentHash


def test_jump_moves_the_minimum_and_is_even() -> None:
    for n in (1, 2, 7, 10, 100):
        before, after = ([jump(hash64(k), size) for k in KEYS] for size in (n, n + 1))
        changed = [b for a, b in zip(before, after, strict=True) if a != b]
        assert set(changed) <= {n}
        assert len(changed) / len(KEYS) == pytest.approx(1 / (n + 1), abs=0.03)
    counts = Counter(jump(hash64(k), 10) for k in KEYS)
    assert sum((c - 500) ** 2 / 500 for c in counts.values()) < 27.9  # 1 in 1000


def test_maglev_table() -> None:
    """Shares within 1 %; weights 1 and 2 have 21,846 and 43,691 slots; one of ten leaving moves 10.2 %."""
    pool = Pool([Backend("one"), Backend("two", weight=2)], Maglev())
    counts = Counter(b.name for b in pool.balancer._table)
    assert counts["one"] == pytest.approx(21_846, abs=1)
    assert sum(counts.values()) == 65_537
    ten = pool_of(10, Maglev())
    before = list(ten.balancer._table)
    counts = Counter(b.name for b in before)
    assert max(counts.values()) / min(counts.values()) < 1.01
    for leaving in ten.backends:
        gone = ten.remove(leaving.name)
        changed = sum(a is not b for a, b in zip(before, ten.balancer._table, strict=True)) / 65_537
        assert 0.1 <= changed < 0.104
        ten.add(gone)
    with pytest.raises(ValueError, match="slots is 100: use a prime"):
        Maglev(100)


@given(
    st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=1, max_size=6), st.floats(1.01, 3), st.integers(0, 99)
)
def test_no_backend_gets_more_than_the_bound(weights: list[float], factor: float, seed: int) -> None:
    """Whatever comes and goes, and if all keys are one."""
    backends = [Backend(f"b{i}", weight=w) for i, w in enumerate(weights)]
    pool = Pool(backends, BoundedHash(factor=factor, points=10))
    rng, live = random.Random(seed), []
    for step in range(150):
        if live and rng.random() < 0.3:
            live.pop(rng.randrange(len(live))).release(True, step)
            continue
        lease = pool.acquire("the same for all", step)
        live.append(lease)
        share = factor * len(live) * lease.backend.weight / sum(weights)
        assert lease.backend.in_flight <= math.ceil(share)


def test_maglev_finds_a_backend_without_a_slot() -> None:
    heavy, light = Backend("heavy"), Backend("light", weight=1e-9)
    pool = Pool([heavy, light], Maglev(slots=101))
    assert light not in pool.balancer._table
    assert pool.acquire("k", 0.0, exclude=[heavy]).backend is light


def test_the_bound_is_above_one() -> None:
    with pytest.raises(ValueError, match="factor is 1"):
        BoundedHash(factor=1)


def test_many_probes_even_out_a_ring_of_one_point_each() -> None:
    """21 probes: the busiest has about 1.05 times the average, and one point alone several times as much."""
    busiest = {}
    for probes in (1, 21):
        counts = Counter(
            owners(pool_of(50, MultiProbe(probes=probes)), [f"key {i}" for i in range(20_000)]).values()
        )
        busiest[probes] = max(counts.values()) / (20_000 / 50)
    assert busiest[21] < 1.25 < 2 < busiest[1]


# By position: who comes back comes last, and everybody behind where he was has moved up.
BY_POSITION = ["ip_hash", "modulo_hash", "jump_hash", "nginx_ip_hash", "nginx_hash", "haproxy_map"]


@pytest.mark.parametrize("algorithm", BY_POSITION)
def test_a_backend_that_returns_elsewhere_in_the_list_gets_other_keys(algorithm: str) -> None:
    """Whether adding undoes removing depends on the order with these; with all other hashes it does not."""
    pool = pool_of(6, make_balancer(algorithm))
    before = owners(pool, KEYS[:300])
    pool.add(pool.remove("b5"))  # was the last, and is
    assert owners(pool, KEYS[:300]) == before
    pool.add(pool.remove("b0"))
    assert moved(before, owners(pool, KEYS[:300])) > 0.5


@pytest.mark.parametrize("algorithm", [*KEYED, "nginx_ring", "haproxy_ring"])
@given(which=st.sets(st.integers(0, 5), min_size=1, max_size=5), order=st.permutations(range(6)))
def test_a_backend_that_returns_gets_its_old_keys(
    algorithm: str, which: set[int], order: Sequence[int]
) -> None:
    options = {"slots": 1009} if algorithm == "maglev" else {}
    pool = Pool([Backend(f"b{i}", weight=1 + i % 3) for i in range(6)], make_balancer(algorithm, **options))
    before = owners(pool, KEYS[:60])
    gone = [pool.remove(f"b{i}") for i in order if i in which]
    owners(pool, KEYS[:60])
    for backend in gone:
        pool.add(backend)
    assert owners(pool, KEYS[:60]) == before


@pytest.mark.parametrize(("algorithm", "options"), [("ip_hash", {"octets": 3}), ("nginx_ip_hash", {})])
def test_a_neighbourhood_shares_a_backend(algorithm: str, options: dict[str, int]) -> None:
    pool = pool_of(7, make_balancer(algorithm, **options))
    for net in range(40):
        homes = owners(pool, [f"10.0.{net}.{host}" for host in range(0, 256, 17)])
        assert len(set(homes.values())) == 1
    assert len(set(owners(pool, [f"10.0.{net}.1" for net in range(100)]).values())) == 7
    assert len(set(owners(pool, [f"2001:db8::{host:x}" for host in range(100)]).values())) == 7
    for key, home in owners(pool, [f"10.0.7.{host}" for host in range(9)]).items():
        assert pool.eligible[pool.balancer.explain(pool.eligible, key, 0.0).place].name == home
    with pytest.raises(ValueError, match="octets is 5"):
        IPHash(octets=5)


def test_a_fast_hash_is_as_even_as_a_slow_one() -> None:
    """Many small families of keys that differ little, where a weak hash shows. Mean chi-square is 4."""
    means = []
    for hashed in (hash64, place64):
        values = []
        for family in range(1500):
            bins = Counter((hashed(f"/p{family}/item/{i}") >> 32) * 5 >> 32 for i in range(10))
            values.append(sum((bins[i] - 2) ** 2 / 2 for i in range(5)))
        means.append(fmean(values))
    assert means == pytest.approx([4, 4], abs=0.4)


@pytest.mark.parametrize("balancer", [ConsistentHash(points=5), NginxRing(), HaproxyRing()])
def test_the_arcs_of_a_ring_are_those_of_its_keys(balancer: Balancer) -> None:
    pool = Pool([Backend(name, weight=weight) for name, weight in (("a", 1), ("b", 2), ("c", 1))], balancer)
    arcs = balancer.arcs()  # type: ignore[attr-defined]
    begins = [begin for begin, _ in arcs]
    assert begins == sorted(begins)
    assert 0 <= begins[0] < begins[-1] < 1
    for key in map(str, range(200)):
        why = pool.explain(key, 0.0)
        assert why
        assert why.place is not None
        assert arcs[bisect_right(begins, why.place) - 1][1] == pool.acquire(key, 0.0).backend.name

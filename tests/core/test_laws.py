"""Laws of families of algorithms: shares in proportion, keys that stay, loads that are bounded."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit.core import Backend, Pool, make_balancer
from lbkit.core.backend import whole_weights

KEYS = [f"10.{i >> 8}.{i & 255}.7" for i in range(400)]
some_weights = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def weighted(algorithm: str, weights: list[int], **options: object) -> Pool:
    backends = [Backend(f"b{i}", weight=w) for i, w in enumerate(weights)]
    return Pool(backends, make_balancer(algorithm, **options))


# -- in proportion --------------------------------------------------------------------------------


@given(some_weights)
def test_static_turns_are_in_proportion(weights: list[int]) -> None:
    """To the pick after each cycle, and never two turns off."""
    pool, total = weighted("static_round_robin", weights), sum(weights)
    for n in range(1, 3 * total + 1):
        pool.pick("k", 0.0)
        assert all(abs(b.picks - n * b.weight / total) < 2 for b in pool.backends)
    assert [b.picks for b in pool.backends] == [3 * w for w in weights]


@given(some_weights)
@settings(max_examples=50)
def test_fast_turns_are_in_proportion(weights: list[int]) -> None:
    """But for what a window loses of its last turn: with 8, 6, 8 that makes 2 %."""
    pool, total = weighted("fast_round_robin", weights), sum(weights)
    for n in range(1, 40 * total):
        pool.pick("k", 0.0)
        assert all(abs(b.picks - n * b.weight / total) < 2 + 0.02 * n for b in pool.backends)


@given(st.lists(st.floats(0.05, 20), min_size=1, max_size=8), st.integers(0, 99))
def test_without_bias_load_does_not_matter(weights: list[float], seed: int) -> None:
    """Then it is earliest deadline first, turn by turn, whatever is in flight."""
    knob, turns = (
        weighted(name, weights, **options)
        for name, options in (("weighted_least_connections", {"bias": 0.0}), ("earliest_deadline", {}))
    )
    rng, live = random.Random(seed), []
    for i in range(200):
        live.append(knob.pick("k", i))
        assert live[-1].name == turns.pick("k", i).name
        if rng.random() < 0.5:
            knob.release(live.pop(rng.randrange(len(live))), i, True, i + 1)


@pytest.mark.parametrize("bias", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("active", [(0, 3), (1, 5), (4, 4)])
@pytest.mark.parametrize("weights", [(1, 1), (3, 1)])
def test_a_turn_is_worth_what_envoy_says(
    bias: float, active: tuple[int, int], weights: tuple[int, int]
) -> None:
    """weight / (active + 1)^bias: with constant counts in flight, picks are in that proportion."""
    pool = weighted("weighted_least_connections", list(weights), bias=bias)
    for backend, n in zip(pool.backends, active, strict=True):
        backend.in_flight = n
    picks = [pool.balancer.pick(pool.eligible, "k", 0.0).name for _ in range(5000)]
    worth = [w / (n + 1) ** bias for w, n in zip(weights, active, strict=True)]
    assert picks.count("b0") / 5000 == pytest.approx(worth[0] / sum(worth), abs=0.002)


# -- keys that stay -------------------------------------------------------------------------------


def homes(pool: Pool) -> dict[str, str]:
    return {key: pool.balancer.pick(pool.eligible, key, 0.0).name for key in KEYS}


@pytest.mark.parametrize("algorithm", ["rendezvous", "multi_probe", "nginx_ring", "haproxy_ring"])
@given(count=st.integers(2, 9), data=st.data())
@settings(max_examples=20)
def test_only_the_keys_of_a_backend_that_leaves_move(algorithm: str, count: int, data: st.DataObject) -> None:
    """And they move to several others, where there are several."""
    pool = weighted(algorithm, [1] * count)
    leaving = data.draw(st.sampled_from(pool.backends)).name
    before = homes(pool)
    pool.remove(leaving)
    after = homes(pool)
    moving = {key for key in KEYS if before[key] == leaving}
    assert all(after[key] == before[key] for key in KEYS if key not in moving)
    if count > 3 and len(moving) > 20 and algorithm != "multi_probe":  # one point each has one heir
        assert len({after[key] for key in moving}) > 1


@given(count=st.integers(2, 12))
def test_only_the_last_may_leave_a_jump(count: int) -> None:
    pool = weighted("jump_hash", [1] * count)
    before = homes(pool)
    last = pool.remove(f"b{count - 1}")
    after = homes(pool)
    assert all(after[key] == before[key] for key in KEYS if before[key] != last.name)
    pool.add(last)
    if count > 2:
        pool.remove("b0")  # all others move up
        after = homes(pool)
        assert sum(after[key] != before[key] for key in KEYS if before[key] != "b0") > 0.3 * len(KEYS)


@given(count=st.integers(2, 12), data=st.data())
@settings(max_examples=20)
def test_a_table_that_is_filled_anew_moves_little_more(count: int, data: st.DataObject) -> None:
    """Of slots that were not the leaving one's, about one in a hundred a server."""
    pool = weighted("maglev", [1] * count, slots=2003)
    leaving = data.draw(st.sampled_from(pool.backends))
    before = pool.balancer.table()
    pool.remove(leaving.name)
    after = pool.balancer.table()
    needless = sum(a != b != leaving.name for b, a in zip(before, after, strict=True))
    assert needless < 0.06 * 2003


# -- bounded loads --------------------------------------------------------------------------------


@given(some_weights, st.integers(101, 300), st.integers(0, 99))
def test_haproxys_bound(weights: list[int], factor: int, seed: int) -> None:
    """No backend has more than its part of factor x the requests, whatever comes and goes, with one key."""
    pool = weighted("haproxy_ring", weights, factor=factor)
    whole = whole_weights({b: b.weight for b in pool.backends}, 256)
    rng, live = random.Random(seed), []
    for i in range(150):
        if live and rng.random() < 0.3:
            pool.release(live.pop(rng.randrange(len(live))), i, True, i)
            continue
        backend = pool.pick("the same for all", i)
        live.append(backend)
        places = math.ceil(len(live) * factor / 100)
        assert backend.in_flight <= max(1, math.ceil(places * whole[backend] / sum(whole.values())))

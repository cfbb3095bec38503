"""What every algorithm must do, whatever it is: any sequence of events, and the pool's promises hold.

A new algorithm is tested here as soon as it is registered.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from variants import NAMES, WITH_OPTIONS, Variant, label

from lbkit.core import Backend, Intent, NoBackend, Pool, SlowStart, make_balancer
from lbkit.core.conformance import KEYS, MOST, WEIGHTS, Play

# Not these: one fills its first backends up on purpose, one sees a part of the pool only.
UNEVEN = ("first_available", "subset")
SPREADING = [name for name in NAMES if name not in UNEVEN]

# A table that takes milliseconds to fill, for each of thousands of changes.
SMALL = {"maglev": {"slots": 101}}

every_algorithm = pytest.mark.parametrize("algorithm", NAMES)

which = st.integers(0, MOST - 1)
keys = st.sampled_from(KEYS) | st.text(max_size=8)
weights = st.sampled_from(WEIGHTS)
outcomes = st.sampled_from([True, False, None])

acquires = st.tuples(st.just("acquire"), keys, st.frozensets(which, max_size=3))
releases = st.tuples(st.just("release"), st.integers(0, 99), outcomes)
reports = st.tuples(st.just("report"), which, st.integers(0, 9), st.booleans())
changes = st.one_of(
    st.tuples(st.just("weight"), which, weights),
    st.tuples(st.just("health"), which, st.booleans()),
    st.tuples(st.just("intent"), which, st.sampled_from(Intent)),
    st.tuples(st.just("add"), which),
    st.tuples(st.just("remove"), which),
    st.tuples(st.just("switch"), st.sampled_from(NAMES)),
)
# More picks than changes, as in life.
events = (acquires, acquires, acquires, releases, releases, reports, changes)
histories = st.lists(st.one_of(events), max_size=60)


class Switching(Play):
    """Also switches to other algorithms: to small ones, as tables of many slots take long to fill."""

    def switch(self, algorithm: str) -> None:
        self.pool.switch(make_balancer(algorithm, random.Random(0), **SMALL.get(algorithm, {})))


def play(algorithm: str, seed: int, options: dict[str, Any], *rules: Any) -> Play:
    """A play of this algorithm; `rules`: slow start and panic threshold."""
    return Switching(lambda: make_balancer(algorithm, random.Random(seed), **options), *rules)


@every_algorithm
@given(history=histories, seed=st.integers(0, 2**32))
@settings(max_examples=50)
def test_any_history(algorithm: str, history: list[tuple], seed: int) -> None:
    """The account is right after each step, equal seeds decide alike, and counts return to zero."""
    options = SMALL.get(algorithm, {})
    first, again = (play(algorithm, seed, options).through(history) for _ in range(2))
    assert first.decisions == again.decisions
    for lease in first.live:
        lease.release(True, first.now)
    assert [b.in_flight for b in first.backends] == [0] * MOST


@pytest.mark.parametrize("variant", [*WITH_OPTIONS, ("round_robin", {})], ids=label)
@given(
    history=histories, slow_start=st.sampled_from([None, SlowStart(3.0)]), panic=st.sampled_from([0.0, 0.5])
)
@settings(max_examples=25)
def test_any_history_with_options(
    variant: Variant, history: list[tuple], slow_start: SlowStart | None, panic: float
) -> None:
    algorithm, options = variant
    play(algorithm, 0, options, slow_start, panic).through(history)


@every_algorithm
def test_one_backend_gets_all(algorithm: str) -> None:
    only = Backend("only")
    pool = Pool([only], make_balancer(algorithm))
    assert all(pool.acquire(f"key {i}", i).backend is only for i in range(50))
    assert (only.in_flight, only.picks) == (50, 50)


@every_algorithm
def test_an_empty_pool_and_a_pool_of_tried_backends(algorithm: str) -> None:
    with pytest.raises(NoBackend, match="none of 0"):
        Pool([], make_balancer(algorithm)).acquire("k", 0.0)
    pool = Pool([Backend("a"), Backend("b")], make_balancer(algorithm))
    with pytest.raises(NoBackend, match="all 2 eligible backends have been tried"):
        pool.acquire("k", 0.0, exclude=pool.backends)
    assert pool.acquire("k", 0.0).backend in pool.backends  # and goes on afterwards


@every_algorithm
def test_weight_zero_gets_nothing(algorithm: str) -> None:
    pool = Pool([Backend("a"), Backend("idle", weight=0), Backend("c")], make_balancer(algorithm))
    for i in range(200):
        pool.acquire(f"key {i}", i)
    assert pool["idle"].picks == 0
    assert pool["a"].picks + pool["c"].picks == 200


@pytest.mark.parametrize("algorithm", SPREADING)
def test_removed_and_added_again(algorithm: str) -> None:
    pool = Pool([Backend(name) for name in "abc"], make_balancer(algorithm))
    leases = [pool.acquire(f"key {i}", i) for i in range(30)]
    gone = pool.remove("b")
    assert all(pool.acquire(f"key {i}", 30).backend is not gone for i in range(30))
    pool.add(gone)
    for lease in leases:
        lease.release(True, 40.0)
    picked = {pool.acquire(f"key {i}", 50.0 + i).backend.name for i in range(300)}
    assert picked == {"a", "b", "c"}  # no backend is forgotten


@every_algorithm
def test_a_new_backend_of_an_old_name_starts_from_nothing(algorithm: str) -> None:
    pool = Pool([Backend("a"), Backend("b")], make_balancer(algorithm))
    before = [pool.acquire(f"key {i}", 0.0) for i in range(20)]
    old = pool.remove("b")
    new = Backend("b")
    pool.add(new)
    for lease in before:
        lease.release(True, 1.0)
    assert (old.in_flight, new.in_flight, new.latency) == (0, 0, 0.0)


@every_algorithm
def test_a_rebuild_without_a_change_changes_no_decision(algorithm: str) -> None:
    """Rebuilding with nothing changed changes no decision."""

    def picks(rebuild: bool) -> list[str]:
        pool = Pool([Backend("a", weight=3), Backend("b"), Backend("c", weight=2)], make_balancer(algorithm))
        rng = random.Random(7)
        names, live = [], []
        for i in range(300):
            live.append(pool.acquire(f"key {i}", i))
            names.append(live[-1].backend.name)
            if len(live) > 5:
                live.pop(rng.randrange(len(live))).release(rng.random() < 0.9, i + 0.5)
            if rebuild and i % 7 == 0:
                pool.balancer.rebuild(pool.eligible)
        return names

    assert picks(rebuild=True) == picks(rebuild=False)


@pytest.mark.parametrize("algorithm", SPREADING)
def test_excluding_one_picks_among_the_others(algorithm: str) -> None:
    pool = Pool([Backend(name) for name in "abcd"], make_balancer(algorithm))
    dead = pool["b"]
    for i in range(200):
        first = pool.acquire(f"key {i}", i)
        if first.backend is dead:
            first.release(False, i)
            first = pool.acquire(f"key {i}", i, exclude=[dead])
        first.release(True, i + 0.001)
    served = {b.name: b.picks for b in pool.backends if b is not dead}
    assert min(served.values()) > 20, served  # a retry starves no backend

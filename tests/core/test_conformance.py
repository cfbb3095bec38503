"""What every algorithm must do, whatever it is: any sequence of events, and the pool's promises hold.

A new algorithm is tested here as soon as it is registered.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from variants import NAMES, WITH_OPTIONS, Variant, label

from lbkit.core import Backend, Intent, Lease, NoBackend, Pool, SlowStart, make_balancer
from lbkit.core.meter import LoadReport

MOST = 6  # backends that come and go

# Not these: one fills its first backends up on purpose, one sees a part of the pool only.
UNEVEN = ("first_available", "subset")
SPREADING = [name for name in NAMES if name not in UNEVEN]

# A table that takes milliseconds to fill, for each of thousands of changes.
SMALL = {"maglev": {"slots": 101}}

every_algorithm = pytest.mark.parametrize("algorithm", NAMES)

which = st.integers(0, MOST - 1)
keys = st.sampled_from(["10.0.0.1", "10.0.0.2", "/item/7", "", "ключ"]) | st.text(max_size=8)
weights = st.sampled_from([0.0, 0.25, 1.0, 2.0, 5.0])
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


@dataclass
class Play:
    """Plays a history and holds the pool against a plain account of what should be."""

    algorithm: str
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    slow_start: SlowStart | None = None
    panic: float = 0.0
    backends: list[Backend] = field(
        default_factory=lambda: [Backend(f"b{i}", zone="xyz"[i % 3], priority=i % 2) for i in range(MOST)]
    )
    live: list[Lease] = field(default_factory=list)
    ended: list[Lease] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.members = self.backends[: MOST // 2]
        balancer = make_balancer(self.algorithm, random.Random(self.seed), **self.options)
        self.pool = Pool(self.members, balancer, slow_start=self.slow_start, panic=self.panic)

    def through(self, history: list[tuple]) -> Play:
        for step, *arguments in history:
            self.now += 0.25
            getattr(self, step)(*arguments)
            self.check()
        return self

    def check(self) -> None:
        for backend in self.backends:
            assert backend.in_flight == sum(lease.backend is backend for lease in self.live)
        wanted = [b for b in self.members if b.intent is Intent.READY and b.weight > 0]
        may = [b for b in wanted if b.healthy or (self.panic and b in self.pool.eligible)]
        assert list(self.pool.eligible) == may
        if len([b for b in wanted if b.healthy]) >= self.panic * len(wanted):
            assert all(b.healthy for b in may) or self.algorithm == "priority_levels"
        assert list(self.pool.backends) == self.members

    def acquire(self, key: str, exclude: frozenset[int]) -> None:
        tried = {self.backends[i] for i in exclude}
        may = set(self.pool.eligible) - tried
        if not may:
            with pytest.raises(NoBackend):
                self.pool.acquire(key, self.now, tried)
            self.decisions.append("none")
            return
        lease = self.pool.acquire(key, self.now, tried)
        assert lease.backend in may
        self.live.append(lease)
        self.decisions.append(lease.backend.name)

    def release(self, index: int, ok: bool | None) -> None:
        if self.ended and index % 3 == 0:  # a second time, as every way out of a request may do it
            self.ended[index % len(self.ended)].release(ok, self.now)
        elif self.live:
            lease = self.live.pop(index % len(self.live))
            lease.release(ok, self.now)  # its backend may be gone by now
            assert lease.released
            self.ended.append(lease)

    def weight(self, i: int, weight: float) -> None:
        if self.backends[i] in self.members:
            self.pool.set_weight(f"b{i}", weight)

    def health(self, i: int, healthy: bool) -> None:
        if self.backends[i] in self.members:
            self.pool.set_health(f"b{i}", healthy)

    def intent(self, i: int, intent: Intent) -> None:
        if self.backends[i] in self.members:
            self.pool.set_intent(f"b{i}", intent, self.now)

    def add(self, i: int) -> None:
        if self.backends[i] not in self.members:
            self.pool.add(self.backends[i])
            self.members = [*self.members, self.backends[i]]

    def remove(self, i: int) -> None:
        if self.backends[i] in self.members:
            assert self.pool.remove(f"b{i}") is self.backends[i]
            self.members = [b for b in self.members if b is not self.backends[i]]

    def report(self, i: int, load: int, asked: bool) -> None:
        backend, balancer = self.backends[i], self.pool.balancer
        if balancer.wants_reports:
            balancer.on_report(backend, LoadReport(load, load / 9, 10.0, latency=load / 10), self.now, asked)
            if self.pool.eligible:
                assert set(self.pool.probe_targets(backend, self.now)) <= set(self.pool.eligible)

    def switch(self, algorithm: str) -> None:
        self.pool.switch(make_balancer(algorithm, random.Random(self.seed), **SMALL.get(algorithm, {})))


@every_algorithm
@given(history=histories, seed=st.integers(0, 2**32))
@settings(max_examples=50)
def test_any_history(algorithm: str, history: list[tuple], seed: int) -> None:
    """The account is right after each step, equal seeds decide alike, and counts return to zero."""
    options = SMALL.get(algorithm, {})
    first, again = (Play(algorithm, seed, options=options).through(history) for _ in range(2))
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
    Play(algorithm, options=options, slow_start=slow_start, panic=panic).through(history)


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

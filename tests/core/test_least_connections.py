from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from functools import partial
from math import exp, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core import Backend, Balancer, Pool, algorithms, make_balancer
from lbkit.core.balance import JoinIdleQueue, LeastConnections, LeastResponseTime, PeakEWMA

NAIVE = partial(LeastResponseTime, decay=inf)
ALGORITHMS = [LeastConnections, NAIVE, LeastResponseTime]
every_algorithm = pytest.mark.parametrize(
    "algorithm", ALGORITHMS, ids=["least_connections", "naive", "least_response_time"]
)


def connections(balancer: Balancer, backend: Backend, now: float) -> float:
    return backend.in_flight / backend.weight


def response_time(balancer: LeastResponseTime, backend: Backend, now: float) -> float:
    """Averages that never fade are those that the pool keeps."""
    latency = balancer._latency(backend)
    if balancer.decay == inf:
        assert latency == pytest.approx(backend.latency or balancer._assumed.get(backend, 0.0))
    fading = exp((balancer._since.get(backend, 0.0) - now) / balancer.decay)
    return latency * (backend.in_flight + 1) / backend.weight * fading


SCORES = {LeastConnections: connections, LeastResponseTime: response_time}


class Scan:
    """The reference for the heap: a full scan; ties go to the backend that has waited longest."""

    def __init__(self, balancer: Balancer, backends: Iterable[Backend]) -> None:
        self.score = partial(SCORES[type(balancer)], balancer)
        self.waiting = list(backends)  # longest first

    def allowed(self, now: float, exclude: Iterable[Backend] = ()) -> list[Backend]:
        """Return the first of equals, and those that only rounding sets apart from it: sums of logarithms
        in the heap, products here."""
        scores = {b: self.score(b, now) for b in self.waiting if b not in exclude}
        first = min(scores, key=scores.__getitem__)
        near = [b for b, score in scores.items() if 0 < abs(score - scores[first]) < 1e-12 * scores[first]]
        ties = [b for b, score in scores.items() if near and score == scores[first]]
        return [first, *near, *ties]

    def to_the_end(self, backend: Backend) -> None:
        if backend in self.waiting:
            self.waiting.remove(backend)
            self.waiting.append(backend)

    def changed(self, eligible: Iterable[Backend]) -> None:
        self.waiting = [b for b in self.waiting if b in eligible]
        self.waiting += [b for b in eligible if b not in self.waiting]


def agrees(algorithm: Callable[[], Balancer], rng: random.Random, steps: int, most: int = 40) -> None:
    backends = [Backend(f"b{i}", weight=rng.choice([1, 1, 2, 0.5, 3])) for i in range(rng.randint(1, 9))]
    pool = Pool(backends, algorithm())
    scan = Scan(pool.balancer, backends)
    live = []
    now = 0.0
    for _ in range(steps):
        now += rng.random()
        dice = rng.random()
        if dice < 0.03:
            name = rng.choice(backends).name
            if rng.random() < 0.5:
                pool.set_health(name, rng.random() < 0.7)
            else:
                pool.set_weight(name, rng.choice([0.5, 1, 2, 3]))
            scan.changed(pool.eligible)
        elif dice < 0.52 and len(live) < most and pool.eligible:
            tried = rng.sample(pool.eligible, rng.randrange(len(pool.eligible))) if dice < 0.08 else []
            allowed = scan.allowed(now, exclude=tried)
            lease = pool.acquire("k", now, exclude=tried)
            assert lease.backend in allowed
            scan.to_the_end(lease.backend)
            live.append(lease)
        elif live:
            lease = live.pop(rng.randrange(len(live)))
            lease.release(rng.choice([True, True, False, None]), now)
            scan.to_the_end(lease.backend)


@every_algorithm
@given(rng=st.randoms(use_true_random=False))
def test_agrees_with_a_scan(algorithm: Callable[[], Balancer], rng: random.Random) -> None:
    agrees(algorithm, rng, steps=60)


@every_algorithm
@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_a_scan_for_long(algorithm: Callable[[], Balancer], seed: int) -> None:
    agrees(algorithm, random.Random(seed), steps=6000)


@pytest.mark.parametrize("weights", [(1, 1, 1), (4, 2, 1)])
def test_connections_follow_weights(weights: tuple[int, ...]) -> None:
    pool = Pool([Backend(f"b{i}", weight=w) for i, w in enumerate(weights)], LeastConnections())
    for i in range(10 * sum(weights)):
        pool.acquire("k", i)
    assert [b.in_flight for b in pool.backends] == [10 * w for w in weights]


def test_the_slow_one_gets_less() -> None:
    """At a latency of 1 to 3, three times as many may be in flight where answers are quick."""
    quick, slow = Backend("quick"), Backend("slow")
    pool = Pool([quick, slow], LeastResponseTime())
    quick.latency, slow.latency = 1.0, 3.0
    pool.balancer.rebuild(pool.eligible)
    for _ in range(40):
        pool.acquire("k", 0.0)
    assert quick.in_flight == pytest.approx(3 * slow.in_flight, abs=3)


def test_a_new_backend_is_flooded_until_its_first_answer() -> None:
    """As the docstring warns: an unknown latency counts as 0."""
    pool = Pool([Backend("a")], LeastResponseTime())
    pool.acquire("k", 0.0).release(True, 1.0)
    new = Backend("new")
    pool.add(new)
    leases = [pool.acquire("k", 1.0) for _ in range(10)]
    assert new.in_flight == 10
    leases[0].release(True, 3.0)
    assert pool.acquire("k", 3.0).backend.name == "a"


def entries(balancer: Balancer) -> int:
    """Return the length of its heap."""
    return len(balancer._heap if isinstance(balancer, LeastResponseTime) else balancer._order)


@every_algorithm
def test_empty_levels_do_not_pile_up(algorithm: Callable[[], Balancer]) -> None:
    balancer = algorithm()
    pool = Pool([Backend(f"b{i}") for i in range(5)], balancer)
    leases = [pool.acquire("k", 0.0) for _ in range(5000)]
    for lease in leases:  # every return may open a level, and no pick clears up
        lease.release(True, 1.0)
        assert entries(balancer) <= 4 * 5 + 16 + 1
    for i in range(5000):
        pool.acquire("k", i, exclude=[pool["b0"]]).release(True, i + 0.5)
        assert entries(balancer) <= 4 * 5 + 16 + 1


def test_a_pick_is_not_a_scan() -> None:
    looks = 0

    class _Counted(LeastConnections):
        def score(self, backend: Backend, in_flight: int) -> float:
            nonlocal looks
            looks += 1
            return super().score(backend, in_flight)

    pool = Pool([Backend(f"b{i}") for i in range(2000)], _Counted())
    rng = random.Random(1)
    live = [pool.acquire("k", 0.0) for _ in range(1000)]
    looks = 0
    for i in range(4000):
        live.append(pool.acquire("k", i))
        live.pop(rng.randrange(len(live))).release(True, i)
    assert looks / 4000 < 5


class Counted(Backend):
    """Counts reads of its requests in flight."""

    looks = 0

    @property
    def in_flight(self) -> int:
        Counted.looks += 1
        return self._busy

    @in_flight.setter
    def in_flight(self, busy: int) -> None:
        self._busy = busy


# What scans, and does so where it comes from; first_available stops at the first with room.
SCANS = ("nginx_least_connections", "caddy_least_connections", "by_busyness", "by_traffic", "first_available")


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        *((n, {}) for n, c in algorithms().items() if c.__module__.startswith("lbkit.") and n not in SCANS),
        ("haproxy_ring", {"factor": 125}),
    ],
)
def test_a_pick_looks_at_a_few_loads(algorithm: str, options: dict[str, int]) -> None:
    pool = Pool([Counted(f"b{i}") for i in range(500)], make_balancer(algorithm, **options))
    live = [pool.pick(f"key {i}", 0.0) for i in range(400)]
    Counted.looks = 0
    for i in range(200):
        live.append(pool.pick(f"key {i}", 1.0))
        pool.release(live.pop(0), 0.0, True, 1.0)
    assert Counted.looks / 200 < 40


@pytest.mark.parametrize("algorithm", ["join_idle_queue", "least_connections", "haproxy_least_connections"])
def test_the_longest_waiting_is_found_at_once(algorithm: str) -> None:
    """A dict that loses its first entry at each pick made it fifty times as slow with 10,000."""

    def cost(count: int) -> float:
        pool = Pool([Backend(f"b{i}") for i in range(count)], make_balancer(algorithm))
        rounds = []
        for _ in range(5):
            start = time.thread_time()
            for _ in range(1000):
                pool.release(pool.pick("k", 0.0), 0.0, True, 1.0)
            rounds.append(time.thread_time() - start)
        return min(rounds)

    assert cost(10_000) < 6 * cost(100)


@pytest.mark.parametrize("algorithm", ["weighted_least_connections", "earliest_deadline"])
def test_a_backend_that_becomes_heavy_does_not_wait_for_a_light_turn(algorithm: str) -> None:
    pool = Pool([Backend("light", weight=0.001), Backend("other")], make_balancer(algorithm))
    for i in range(20):
        pool.acquire("k", i).release(True, i)
    pool.set_weight("light", 1)
    for i in range(500):
        pool.acquire("k", i).release(True, i)
    assert pool["light"].picks == pytest.approx(250, abs=3)


# -- two looks, and none ----------------------------------------------------------------------------


def test_peak_ewma_rises_at_once_and_falls_with_time() -> None:
    quick, slow = Backend("quick"), Backend("slow")
    pool = Pool([quick, slow], PeakEWMA(decay=10))
    for _ in range(4):  # both are known at 0.1 s
        pool.acquire("k", 0.0).release(True, 0.1)
    balancer = pool.balancer
    balancer.done(slow, 2.0, True, 0.2)
    assert {pool.acquire("k", 0.2 + i / 100).backend.name for i in range(5)} == {"quick"}
    for _ in range(5):
        quick.in_flight -= 1
    # And forgets with time: after five times `decay` the bad news is 150 times weaker.
    assert balancer.score(slow, 50.2) < balancer.score(slow, 0.2) / 100


def test_peak_ewma_does_not_flood_a_new_backend() -> None:
    old, new = Backend("old"), Backend("new")
    pool = Pool([old], PeakEWMA())
    pool.acquire("k", 0.0).release(True, 0.1)
    pool.add(new)
    picks = [pool.acquire("k", 0.2).backend.name for _ in range(20)]
    assert picks.count("new") == 1


def test_idle_backends_are_picked_in_the_order_in_which_they_became_idle() -> None:
    pool = Pool([Backend(n) for n in "abc"], JoinIdleQueue())
    leases = [pool.acquire("k", 0.0) for _ in range(3)]
    assert [lease.backend.name for lease in leases] == ["a", "b", "c"]
    leases[2].release(True, 1.0)
    leases[0].release(True, 1.0)
    assert [pool.acquire("k", 2.0).backend.name for _ in range(2)] == ["c", "a"]
    extra = {pool.acquire("k", 3.0).backend.name for _ in range(40)}
    assert extra == {"a", "b", "c"}  # none is idle: at random


def test_no_request_waits_while_a_backend_is_idle() -> None:
    rng = random.Random(2)
    pool = Pool([Backend(str(i)) for i in range(8)], JoinIdleQueue())
    live = []
    for step in range(3000):
        if live and rng.random() < 0.5:
            live.pop(rng.randrange(len(live))).release(True, step)
        elif len(live) < 12:
            some_idle = any(not b.in_flight for b in pool.backends)
            lease = pool.acquire("k", step)
            live.append(lease)
            assert not some_idle or lease.backend.in_flight == 1


@pytest.mark.parametrize("algorithm", ["least_response_time", "peak_ewma", "choice_of_two"])
def test_a_backend_that_only_fails_does_not_look_best(algorithm: str) -> None:
    """It answers in a millisecond, always with an error, and was never known to be slower."""
    pool = Pool([Backend(n) for n in ("good", "fair", "broken")], make_balancer(algorithm))
    for i in range(300):
        now = i * 1.0
        lease = pool.acquire("k", now)
        broken = lease.backend.name == "broken"
        lease.release(not broken, now + (0.001 if broken else 0.1))
    assert 0 < pool["broken"].picks < 115  # no more than its share


@pytest.mark.parametrize("algorithm", ["least_response_time", "peak_ewma", "choice_of_two"])
def test_a_backend_that_only_fails_does_not_look_best_when_the_first_good_answers_were_quick(
    algorithm: str,
) -> None:
    pool = Pool([Backend(n) for n in ("good", "fair", "broken")], make_balancer(algorithm))
    for i in range(300):
        lease = pool.acquire("k", float(i))
        broken = lease.backend.name == "broken"
        took = 0.001 if broken or i < 4 else 0.1
        lease.release(not broken, i + took)
    assert 0 < pool["broken"].picks < 150  # a third, and what it got before the others were known

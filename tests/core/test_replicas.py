from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest
from variants import NAMES

from lbkit import AlgorithmError, Balancer, Policy
from lbkit.core import Backend, Intent, NoBackend, Pool, Replicas, algorithms, make_balancer
from lbkit.core.balance import JoinIdleQueue
from lbkit.draws import stream


def replicas(count: int = 3, policy: str = "least_connections", **options: object) -> Replicas:
    pool = Policy(policy, options, balancers=count).pool(
        [Backend(n, zone="z", weight=2) for n in "abcd"], lambda name: stream(1, name)
    )
    assert isinstance(pool, Replicas)
    return pool


def test_each_counts_its_own_only() -> None:
    pool = replicas(3)
    leases = [pool.acquire("k", 0.0) for _ in range(300)]
    by_pool = [sum(b.in_flight for b in one.backends) for one in pool.pools]
    assert sum(by_pool) == 300
    assert min(by_pool) > 60  # by chance, so not quite a third
    for lease in leases:
        lease.release(True, 1.0)
        lease.release(True, 1.0)
    assert all(b.in_flight == 0 for b in pool.all_backends())
    assert len({id(b) for b in pool.all_backends()}) == 12


def test_twins_are_alike() -> None:
    for backend in replicas().all_backends():
        assert (backend.zone, backend.weight) == ("z", 2)


def test_a_retry_stays_with_the_balancer_that_tried() -> None:
    pool = replicas()
    for _ in range(50):
        first = pool.pick("k", 0.0)
        second = pool.pick("k", 0.0, (first,))
        assert second is not first
        assert pool._pool_of[first] is pool._pool_of[second]


def test_changes_reach_all() -> None:
    pool = replicas()
    pool.add(Backend("e"))
    pool.remove("a")
    pool.set_weight("b", 0)
    pool.set_health("c", False)
    pool.set_intent("d", Intent.OUT, 0.0)
    assert {pool.pick("k", i).name for i in range(30)} == {"e"}
    assert pool._pool_of[pool.pick("k", 0.0)] in pool.pools
    pool.set_weight("e", 0)
    with pytest.raises(NoBackend):
        pool.pick("k", 0.0)
    with pytest.raises(ValueError, match="in the pool already"):
        pool.add(Backend("e"))


def test_another_algorithm_for_all() -> None:
    pool = replicas()
    Policy("subset", {"size": 2}, balancers=3).switch(pool, lambda name: random.Random(name))
    assert [p.balancer.index for p in pool.pools] == [0, 1, 2]
    assert {p.balancer.balancers for p in pool.pools} == {3}


def test_one_is_a_plain_pool() -> None:
    backend = Backend("a")
    pool = Policy("round_robin").pool([backend], random.Random)
    assert pool.backends == (backend,)


def test_explain_changes_nothing() -> None:
    asked, silent = replicas(), replicas()
    for i in range(60):
        why = asked.explain("k", i)
        assert why
        backend = asked.pick("k", i)
        assert backend.name == silent.pick("k", i).name
        assert why.scores == {
            b.name: (b.in_flight - (b is backend)) / 2 for b in asked._pool_of[backend].backends
        }


# -- where rotations start -------------------------------------------------------------------------

# Their programs start every worker at the first server.
EXACT = ("by_busyness", "fast_round_robin", "haproxy_least_connections", "nginx_least_connections")
STARTS_FIRST = ("first_available", "by_traffic", "static_round_robin", *EXACT)
SPREADING = [n for n in NAMES if not algorithms()[n].keyed and n not in STARTS_FIRST]


def servers_met(policy: Policy, weight: Callable[[int], float] = lambda i: 1.0) -> Counter[str]:
    """Return the picks of eight balancers that each send three requests to ten servers."""
    backends = [Backend(f"b{i}", weight=weight(i)) for i in range(10)]
    pool = policy.pool(backends, lambda name: stream(3, name))
    assert isinstance(pool, Replicas)
    return Counter(one.pick("k", 0.0).name for one in pool.pools for _ in range(3))


@pytest.mark.parametrize("algorithm", SPREADING)
def test_eight_balancers_do_not_all_start_with_the_same_servers(algorithm: str) -> None:
    met = servers_met(Policy(algorithm, balancers=8))
    assert len(met) >= 7, met
    assert max(met.values()) <= 6, met


@pytest.mark.parametrize("algorithm", ["weighted_round_robin", "earliest_deadline"])
def test_eight_balancers_do_not_all_start_with_the_heaviest_server(algorithm: str) -> None:
    met = servers_met(Policy(algorithm, balancers=8), lambda i: 1.5 if i == 4 else 1.0)
    assert met["b4"] <= 6, met


@pytest.mark.parametrize("algorithm", EXACT)
def test_exact_versions_start_where_their_program_does(algorithm: str) -> None:
    assert set(servers_met(Policy(algorithm, balancers=8)).values()) == {8}


def test_one_balancer_starts_with_the_first_server() -> None:
    for algorithm in ("round_robin", "weighted_round_robin", "least_connections"):
        pool = Policy(algorithm).pool([Backend("a"), Backend("b")], random.Random)
        assert pool.pick("k", 0.0).name == "a"


@pytest.mark.parametrize(
    "algorithm",
    ["round_robin", "least_connections", "earliest_deadline", "join_idle_queue", "zone_aware"],
)
def test_a_pool_starts_at_the_given_place(algorithm: str) -> None:
    """Also after a switch."""
    pool = Pool([Backend(name) for name in "abcd"], make_balancer(algorithm), start=0.5)
    assert pool.pick("k", 0.0).name == "c"
    pool.switch(make_balancer("round_robin"))
    assert [pool.pick("k", 0.0).name for _ in range(4)] == ["c", "d", "a", "b"]
    with pytest.raises(ValueError, match="start is 1: use a number from 0"):
        Pool([], make_balancer(algorithm), start=1)


# -- join the idle queue ---------------------------------------------------------------------------


def waiting(pool: Replicas) -> list[str]:
    """Return the names of the backends in all queues of idle ones, sorted."""
    return sorted(b.name for one in pool.pools for b in one.balancer._idle)


def test_an_idle_server_waits_in_the_queue_of_one_balancer() -> None:
    pool = replicas(3, "join_idle_queue")
    assert waiting(pool) == list("abcd")
    first = pool.pools[0].pick("k", 0.0)
    twin = pool.pools[1][first.name]
    twin.in_flight += 1  # the other balancer has sent a request there, too
    before = waiting(pool)
    pool.release(first, 0.0, True, 1.0)
    assert waiting(pool) == before  # it is busy with that one
    pool.release(twin, 0.0, True, 1.0)
    assert waiting(pool) == sorted([*before, first.name])


def test_idle_servers_report_to_all_balancers_alike() -> None:
    pool = replicas(3, "join_idle_queue")
    reports: Counter[int] = Counter()
    for _ in range(600):
        for one in pool.pools:
            one.balancer._idle.clear()
        lease = pool.acquire("k", 0.0)
        lease.release(True, 1.0)
        reports.update(i for i, one in enumerate(pool.pools) if one.balancer._idle)
    assert sum(reports.values()) == 600
    assert min(reports.values()) > 150


def test_a_server_that_joins_comes_back_or_is_undrained_is_idle_at_one_balancer() -> None:
    pool = replicas(3, "join_idle_queue")
    pool.set_intent("a", Intent.DRAIN, 0.0)
    assert waiting(pool) == list("bcd")
    pool.set_intent("a", Intent.READY, 0.0)
    pool.remove("b")
    assert waiting(pool) == list("acd")
    pool.add(Backend("b"))
    pool.add(Backend("e"))
    assert waiting(pool) == list("abcde")


def test_a_switch_to_join_idle_queue_finds_the_idle_servers() -> None:
    pool = replicas(3, "least_connections")
    busy = pool.pick("k", 0.0)
    Policy("join_idle_queue", balancers=3).switch(pool, lambda name: random.Random(name))
    assert waiting(pool) == sorted(set("abcd") - {busy.name})
    pool.release(busy, 0.0, True, 1.0)
    assert waiting(pool) == list("abcd")


class FailsWhenIdle(JoinIdleQueue):
    fails = False

    def on_idle(self, backend: Backend) -> None:
        if self.fails:
            raise ZeroDivisionError("oh")
        super().on_idle(backend)


def test_a_failing_on_idle_names_the_learners_line() -> None:
    pool = replicas(2, "fails_when_idle")
    lease = pool.acquire("k", 0.0)
    for one in pool.pools:
        one.balancer.fails = True
    with pytest.raises(
        AlgorithmError, match=r"FailsWhenIdle.* raised ZeroDivisionError: oh; .*replicas\.py, line"
    ):
        lease.release(True, 1.0)


def test_a_switch_that_fails_for_one_balancer_leaves_all_as_they_were() -> None:
    pool = replicas(3, "join_idle_queue")
    before = [one.balancer for one in pool.pools]

    def make(number: int) -> Balancer:
        if number == 1:
            raise ValueError("not this one")
        return make_balancer("random", random.Random(1))

    with pytest.raises(ValueError, match="not this one"):
        pool.switch(make)
    assert [one.balancer for one in pool.pools] == before
    assert waiting(pool) == list("abcd")

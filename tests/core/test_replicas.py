from __future__ import annotations

import random

import pytest

from lbkit import Policy
from lbkit.core import Backend, Intent, NoBackend, Replicas
from lbkit.workload import stream


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
    pool.set_intent("d", Intent.OUT)
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


def test_to_ask_why_changes_nothing() -> None:
    asked, silent = replicas(), replicas()
    for i in range(60):
        why = asked.explain("k", i)
        assert why
        backend = asked.pick("k", i)
        assert backend.name == silent.pick("k", i).name
        assert why.scores == {
            b.name: (b.in_flight - (b is backend)) / 2 for b in asked._pool_of[backend].backends
        }

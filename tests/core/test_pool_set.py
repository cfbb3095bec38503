"""Pools with names: picks are the first pool's, and each backend belongs to one of them."""

from __future__ import annotations

import random

import pytest

from lbkit.core import Backend, Intent, Pool, PoolSet, Replicas, make_balancer


def pool(*names: str) -> Pool:
    return Pool([Backend(name) for name in names], make_balancer("round_robin"))


def test_picks_are_the_first_pools_and_others_are_named() -> None:
    pools = PoolSet({"default": pool("a", "b"), "api": pool("c")})
    leases = [pools.acquire("k", 0.0) for _ in range(4)]
    assert {lease.backend.name for lease in leases} == {"a", "b"}
    assert pools.named("api").acquire("k", 0.0).backend.name == "c"
    assert [b.name for b in pools.backends] == ["a", "b", "c"]
    with pytest.raises(KeyError, match="no pool 'apu': there are default, api"):
        pools.named("apu")


def test_what_is_about_a_backend_goes_to_its_pool() -> None:
    twins = Replicas([pool("c", "d"), pool("c", "d")], random.Random(1))
    pools = PoolSet({"default": pool("a"), "api": twins})
    pools.set_health("c", False)
    pools.set_intent("d", Intent.DRAIN, 0.0)
    assert not twins.eligible
    assert len(pools.pools) == 3
    assert len(list(pools.all_backends())) == 5
    pools.remove("c")
    assert [b.name for b in pools.backends] == ["a", "d"]
    with pytest.raises(KeyError, match="no backend 'x' in the pools: there are a, d"):
        pools.set_weight("x", 1.0)
    with pytest.raises(ValueError, match="the name 'd' is taken"):
        pools.add(Backend("d"))
    pools.add(Backend("e"))
    assert pools.pool_of("e") is pools.first

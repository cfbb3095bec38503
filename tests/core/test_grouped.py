from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core import Backend, Pool, make_balancer

PICKS = 4000


def shares(pool: Pool, group: str = "zone") -> dict[object, float]:
    counts: Counter[object] = Counter()
    for i in range(PICKS):
        lease = pool.acquire(f"key {i}", i)
        counts[getattr(lease.backend, group)] += 1
        lease.release(True, i)
    return {name: count / PICKS for name, count in counts.items()}


def near(expected: dict[object, float]) -> object:
    return pytest.approx(expected, abs=0.035)


def pool_of(algorithm: str, *members: tuple[str, int], **options: object) -> Pool:
    """`members`: a zone or a level, and how many are there."""
    backends = []
    for group, count in members:
        level = {"priority": int(group)} if group.isdigit() else {"zone": group}
        backends += [Backend(f"{group}{i}", **level) for i in range(count)]
    return Pool(backends, make_balancer(algorithm, random.Random(1), **options))


def down(pool: Pool, *names: str) -> Pool:
    for name in names:
        pool.set_health(name, False)
    return pool


# Envoy's own table, priority levels with an overprovisioning factor of 1.4.
ENVOY = [(100, 100), (72, 100), (71, 99), (50, 70), (25, 35), (0, 0)]


@pytest.mark.parametrize(("healthy", "first"), ENVOY)
def test_priority_levels_as_envoy_documents_them(healthy: int, first: int) -> None:
    pool = pool_of("priority_levels", ("0", 100), ("1", 100))
    down(pool, *(f"0{i}" for i in range(healthy, 100)))
    assert shares(pool, "priority").get(0, 0.0) == pytest.approx(first / 100, abs=0.03)


def test_when_both_levels_are_poor() -> None:
    """25 % and 25 % healthy: 35 and 35, so half each. (Envoy, the same page.)"""
    pool = pool_of("priority_levels", ("0", 20), ("1", 20))
    down(pool, *(f"{level}{i}" for level in "01" for i in range(5, 20)))
    assert shares(pool, "priority") == near({0: 0.5, 1: 0.5})


def test_a_zone_keeps_its_traffic_through_small_failures() -> None:
    pool = pool_of("locality_weighted", ("x", 10), ("y", 30))
    assert shares(pool) == near({"x": 0.25, "y": 0.75})
    down(pool, "y0", "y1", "y2")  # 90 % healthy: as good as whole
    assert shares(pool) == near({"x": 0.25, "y": 0.75})
    down(pool, *(f"y{i}" for i in range(3, 15)))  # half of it
    left = 0.75 * 1.4 * 0.5
    assert shares(pool) == near({"x": 0.25 / (0.25 + left), "y": left / (0.25 + left)})


def test_home_as_far_as_it_reaches() -> None:
    options = {"home": "x"}
    assert shares(pool_of("zone_aware", ("x", 4), ("y", 4), **options)) == {"x": 1.0}
    # A third of the servers for half of the traffic: two thirds stay.
    small = shares(pool_of("zone_aware", ("x", 2), ("y", 4), **options))
    assert small == near({"x": 2 / 3, "y": 1 / 3})
    gone = down(pool_of("zone_aware", ("x", 1), ("y", 4), **options), "x0")
    assert shares(gone) == {"y": 1.0}


def test_cross_zone() -> None:
    """Amazon's example: two targets here and eight there; off, each of the two bears four times as much."""
    off = pool_of("cross_zone", ("x", 2), ("y", 8), across=False)
    assert shares(off) == near({"x": 0.5, "y": 0.5})
    on = pool_of("cross_zone", ("x", 2), ("y", 8), across=True)
    assert shares(on) == near({"x": 0.2, "y": 0.8})


@given(
    servers=st.integers(1, 40), balancers=st.integers(1, 20), size=st.integers(1, 10), seed=st.integers(0, 9)
)
def test_an_aperture_leaves_nobody_out(servers: int, balancers: int, size: int, seed: int) -> None:
    """Each has as many as it asked for, and where apertures are wide enough, every server has somebody."""
    names = [f"s{i:02}" for i in range(servers)]
    covered: Counter[str] = Counter()
    for index in range(balancers):
        pool = Pool(
            [Backend(n) for n in names],
            make_balancer("subset", random.Random(seed), size=size, index=index, balancers=balancers),
        )
        mine = {pool.acquire("k", i).backend.name for i in range(3 * size)}
        assert len(mine) == min(size, servers)
        covered.update(mine)
    if balancers * size >= servers and balancers <= servers:
        step = -(-servers // balancers)
        if size >= step:
            assert set(covered) == set(names)


def test_who_is_left_when_all_of_a_subset_are_down() -> None:
    pool = Pool([Backend(n) for n in "abcdef"], make_balancer("subset", size=2))
    for name in "ab":
        pool.set_health(name, False)
    assert {pool.acquire("k", i).backend.name for i in range(20)} == set("cdef")
    pool.set_health("a", True)
    assert {pool.acquire("k", i).backend.name for i in range(20)} == {"a"}


@pytest.mark.parametrize(
    ("algorithm", "options", "message"),
    [
        ("priority_levels", {"overprovisioning": 0.9}, "overprovisioning is 0.9"),
        ("locality_weighted", {"inner": "nonsense"}, "no algorithm 'nonsense'"),
        ("zone_aware", {"share": 0.0}, "share is 0.0"),
        ("subset", {"size": 0}, "size is 0"),
        ("subset", {"how": "alphabet"}, "how is 'alphabet'"),
        ("subset", {"index": 3, "balancers": 3}, "index is 3"),
        ("cross_zone", {"options": {"points": 3}}, "does not take these options"),
    ],
)
def test_bad_options(algorithm: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_balancer(algorithm, **options)


def test_a_group_has_a_ring_of_its_own() -> None:
    pool = pool_of("cross_zone", ("x", 3), ("y", 3), across=False, inner="consistent_hash")
    assert pool.balancer.keyed_by == "path"
    homes: dict[tuple[str, str], set[str]] = {}
    for i in range(400):
        backend = pool.acquire(f"/item/{i % 20}", i).backend
        homes.setdefault((backend.zone, f"/item/{i % 20}"), set()).add(backend.name)
    assert all(len(home) == 1 for home in homes.values())

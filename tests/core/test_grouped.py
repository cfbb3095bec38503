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


@pytest.mark.parametrize(
    ("healthy", "traffic", "panicking"),
    [
        ((0, 4), {1: 1.0}, ""),  # 0 + 100 %: enough, whatever the pool as a whole looks like
        ((5, 20), {0: 0.35, 1: 0.65}, ""),  # 35 + 100 %: enough
        ((10, 10), {0: 0.7, 1: 0.3}, ""),
        ((5, 5), {0: 0.5, 1: 0.5}, "01"),  # 35 + 35 %
        ((1, 13), {0: 7 / 98, 1: 91 / 98}, "0"),  # 7 + 91 %: the second has more than half
        ((0, 0), {0: 0.5, 1: 0.5}, "01"),
    ],
)
def test_a_level_panics_only_when_all_together_are_not_enough(
    healthy: tuple[int, int], traffic: dict[int, float], panicking: str
) -> None:
    """Envoy's own table, panic threshold 50 %."""
    counts = (6, 4) if healthy == (0, 4) else (20, 20)
    backends = [Backend(f"{level}{i}", priority=level) for level in (0, 1) for i in range(counts[level])]
    pool = Pool(backends, make_balancer("priority_levels", random.Random(1)), panic=0.5)
    down(pool, *(f"{level}{i}" for level in (0, 1) for i in range(healthy[level], counts[level])))
    assert shares(pool, "priority") == near(traffic)
    assert {b.name[0] for b in pool.backends if b.picks and not b.healthy} == set(panicking)


def test_panic_of_all_levels_goes_by_their_size() -> None:
    backends = [Backend(f"{level}{i}", priority=level) for level in (0, 1) for i in range((30, 10)[level])]
    pool = Pool(backends, make_balancer("priority_levels", random.Random(1)), panic=0.5)
    down(pool, *(f"0{i}" for i in range(25)), *(f"1{i}" for i in range(8)))  # 23 + 28 %
    assert shares(pool, "priority") == near({0: 0.75, 1: 0.25})
    pool.switch(make_balancer("round_robin"))  # which knows no levels: 7 of 40, so it panics, too
    assert len(pool.eligible) == 40


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
    """Amazon's example: two targets here and eight there; off, each of the two gets four times as much."""
    off = pool_of("cross_zone", ("x", 2), ("y", 8), across=False)
    assert shares(off) == near({"x": 0.5, "y": 0.5})
    on = pool_of("cross_zone", ("x", 2), ("y", 8), across=True)
    assert shares(on) == near({"x": 0.2, "y": 0.8})


@given(
    servers=st.integers(1, 40), balancers=st.integers(1, 20), size=st.integers(1, 10), seed=st.integers(0, 9)
)
def test_an_aperture_leaves_no_server_out(servers: int, balancers: int, size: int, seed: int) -> None:
    """Each balancer has `size` servers, and if subsets are large enough, every server has a balancer."""
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


@given(servers=st.integers(1, 20), balancers=st.integers(1, 20), size=st.integers(1, 20))
def test_how_even_an_aperture_is(servers: int, balancers: int, size: int) -> None:
    """Servers differ by one balancer at most, and by none where balancers x size is a multiple of them."""
    size = min(size, servers)
    backends = [Backend(f"s{i:02}") for i in range(servers)]
    covered = Counter(dict.fromkeys(backends, 0))
    for index in range(balancers):
        subset = make_balancer("subset", size=size, index=index, balancers=balancers)
        subset.rebuild(backends)
        covered.update(subset._mine)
    assert max(covered.values()) - min(covered.values()) == (balancers * size % servers > 0)


def test_random_subsets_are_each_ones_own() -> None:
    """A hundred balancers draw ten of a hundred servers each: some servers have many of them, some few."""
    backends = [Backend(f"s{i:02}") for i in range(100)]
    drawn = []
    for index in range(100):
        options = {"size": 10, "how": "random", "index": index, "balancers": 100}
        one, other = make_balancer("subset", **options), make_balancer("subset", **options)
        one.rebuild(backends)
        other.rebuild(backends[::-1])
        assert one._mine == other._mine  # whatever it heard first
        drawn.append(one._mine)
    assert {len(mine) for mine in drawn} == {10}
    assert len(set(drawn)) == 100
    covered = Counter(b for mine in drawn for b in mine)
    counts = [covered[b] for b in backends]
    # Binomial: mean 10, variance 9.
    assert sum((c - 10) ** 2 for c in counts) / 100 == pytest.approx(9, abs=4)
    assert min(counts) < 6 < 14 < max(counts)


def test_a_subset_keeps_the_place_of_a_sick_one() -> None:
    pool = pool_of("subset", ("x", 9), size=3, how="random")
    mine = pool.balancer._mine
    sick = min(b.name for b in mine)
    down(pool, sick)
    assert pool.balancer._mine == mine
    assert {pool.pick("k", i).name for i in range(20)} == {b.name for b in mine} - {sick}


def test_other_servers_stand_in_when_a_whole_subset_is_down() -> None:
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


GROUPED = {
    "cross_zone": {"across": False},
    "locality_weighted": {},
    "zone_aware": {"home": "x"},
    "priority_levels": {},
}


@pytest.mark.parametrize("algorithm", GROUPED)
@pytest.mark.parametrize("inner", ["modulo_hash", "consistent_hash", "maglev", "haproxy_ring"])
def test_a_key_stays_and_a_group_uses_all_its_servers(algorithm: str, inner: str) -> None:
    """Also when another group has lost backends; the hash that chose the group is not used within it."""
    backends = [
        Backend(f"{zone}{i}", zone=zone, priority="xyz".index(zone)) for i in range(4) for zone in "xyz"
    ]
    pool = Pool(backends, make_balancer(algorithm, random.Random(1), inner=inner, **GROUPED[algorithm]))
    down(pool, "x0", "x1")
    assert pool.balancer.keyed_by == "path"
    homes: dict[str, set[str]] = {}
    for i in range(3000):
        homes.setdefault(f"/item/{i % 1000}", set()).add(pool.acquire(f"/item/{i % 1000}", i).backend.name)
    assert all(len(home) == 1 for home in homes.values())
    used = Counter(name for home in homes.values() for name in home)
    for zone in {name[0] for name in used}:
        in_zone = [count for name, count in used.items() if name[0] == zone]
        assert len(in_zone) == (2 if zone == "x" else 4)
        assert max(in_zone) < 2.5 * min(in_zone)


def test_a_retry_stays_in_its_zone() -> None:
    pool = pool_of("cross_zone", ("x", 2), ("y", 2), across=False, inner="modulo_hash")
    for i in range(50):
        first = pool.pick(f"key {i}", i)
        second = pool.pick(f"key {i}", i, [first])
        assert second.zone == first.zone
        assert pool.pick(f"key {i}", i, [first, second]).zone != first.zone


def test_zones_are_in_no_order_of_their_servers() -> None:
    """The zone of a key does not change because the first server of the first zone is out."""
    pool = Pool(
        [Backend(f"{z}{i}", zone=z) for i in range(3) for z in "xy"],
        make_balancer("cross_zone", across=False, inner="rendezvous"),
    )
    before = {f"key {i}": pool.pick(f"key {i}", 0.0) for i in range(100)}
    pool.set_health("x0", False)
    assert all(pool.pick(key, 0.0) is b for key, b in before.items() if b.name != "x0")

"""Checks of where a key goes: the ring."""

from collections import Counter

from lbkit.core import Backend
from lbkit.core.contract import AlgorithmError
from lbkit.course import Shares, Wrong, elsewhere, expect

from . import task
from .pools import KEYS, counted, first_moved, homes, pool_of

WHEN = ("before", "after")


def keys_of(found):
    """The number of keys of each server."""
    return dict(sorted(Counter(found.values()).items()))


@task.check(points=1)
def a_key_has_one_server(Ring):
    """The same key goes to the same server again and again, and other keys go to other servers."""
    pool = pool_of(Ring, *"abcd")
    first, again = homes(pool, KEYS[:200]), homes(pool, KEYS[:200])
    moved = first_moved(first, again, lambda old, new: False)
    expect(
        not moved,
        "that a key which comes a second time goes where it went the first time",
        moved,
        "only the key and the servers decide: no chance, no count of requests, and no load while there is room",
    )
    expect(
        len(set(first.values())) == 4,
        "that 200 keys use all of the four servers a, b, c and d",
        f"they used {', '.join(sorted(set(first.values())))}",
        "hash the key, and hash the servers: both land somewhere on the ring",
    )


def placement(Ring, keys):
    """For a second process: the servers of these keys."""
    return homes(pool_of(Ring, *"abcd"), keys)


@task.check(points=2, seconds=10.0)
def two_processes_agree(Ring):
    """Two processes, such as two proxies side by side, send a key to the same server."""
    keys = KEYS[:200]
    here, there = placement(Ring, keys), elsewhere(placement, keys)
    key = next((k for k in keys if here.get(k) != there.get(k)), "")
    expect(
        not key,
        "that a process that is started a second time places all 200 keys as the first one did",
        f"{key} went to {here.get(key)} in the first and to {there.get(key)} in the second process; "
        f"{sum(here.get(k) != there.get(k) for k in keys)} of 200 keys changed",
        "Python's hash() of a text differs from process to process, and hash() of an object is about its "
        "place in memory: take a function of hashlib, or zlib.crc32",
    )


@task.check(points=2)
def a_join_moves_keys_to_the_newcomer_only(Ring):
    """When a fifth server joins four, about a fifth of the keys move, and all of these to it."""
    pool = pool_of(Ring, *"abcd")
    before = homes(pool)
    pool.add(Backend("e"))
    after = homes(pool)
    moved = first_moved(before, after, lambda old, new: new == "e")
    came = sum(name == "e" for name in after.values())
    expect(
        not moved,
        "that each key stays where it was, or goes to the newcomer e",
        f"{moved}; {sum(before[k] != after.get(k) for k in before)} of {len(KEYS)} keys moved",
        "the number of servers must not be part of the calculation, as it is in hash % len(backends)",
        Shares(keys_of(before), keys_of(after), WHEN),
    )
    expect(
        0.12 < came / len(KEYS) < 0.3,
        f"about a fifth of {len(KEYS)} keys at the newcomer e",
        f"{came} keys; {counted(after.values())}",
        "a newcomer has as many points on the ring as any other server; the ring is made in `rebuild`",
    )


@task.check(points=2)
def a_server_that_leaves_moves_its_own_keys_only(Ring):
    """When the first of five servers leaves, the keys of the others stay; when it is back, so are its keys."""
    pool = pool_of(Ring, *"abcde")
    before = homes(pool)
    gone = pool.remove("a")
    without = homes(pool)
    moved = first_moved(before, without, lambda old, new: old == "a")
    expect(
        not moved,
        "that only keys of a move when a leaves",
        moved,
        "a point of the ring belongs to a server by its name; its place in the list changes when others leave",
        Shares(keys_of(before), keys_of(without), WHEN),
    )
    pool.add(gone)  # at the end of the list
    moved = first_moved(before, homes(pool), lambda old, new: False)
    expect(
        not moved,
        "that all keys are where they were once a is back, although it is now the last in the list",
        moved,
        "the order of the list must not matter",
    )


@task.check(points=2)
def shares_are_even(Ring):
    """With 160 points each, ten servers get a tenth of the keys each, give or take a third of it."""
    names = [f"s{i}" for i in range(10)]
    found = homes(pool_of(Ring, *names), [f"/item/{i}" for i in range(5000)])
    counts = Counter(found.values())
    for name in names:
        expect(
            330 < counts[name] < 670,
            f"about 500 of 5000 keys for {name}, as for each of ten servers",
            f"it got {counts[name]}; {counted(found.values())}",
            "one point a server makes long and short arcs; `points` of them, each at a place of its own, "
            "even out",
            Shares(dict.fromkeys(names, 500), {name: counts[name] for name in names}),
        )


@task.check(points=2)
def weights_count(Ring):
    """A server of weight 3 gets three times as many keys as one of weight 1, and one of 0.5 half as many."""
    weights = {"a": 3.0, "b": 1.0, "c": 0.5}
    counts = Counter(homes(pool_of(Ring, **weights)).values())
    due = {name: len(KEYS) * weight / 4.5 for name, weight in weights.items()}
    for name, weight in weights.items():
        expect(
            0.6 < counts[name] / due[name] < 1.4,
            f"about {due[name]:.0f} of {len(KEYS)} keys for {name}, whose weight is {weight:g} of 4.5",
            f"it got {counts[name]}",
            "`points` is what a server of weight 1 has; a weight is a float, as is 0.5",
            Shares({k: round(v) for k, v in due.items()}, {name: counts[name] for name in weights}),
        )


@task.check(points=1)
def a_tiny_weight_is_a_point_at_least(Ring):
    """A server with a weight so small that it rounds to no point still has one: alone, it serves every key."""
    for number in range(10):
        try:
            pool_of(Ring, **{f"tiny{number}": 0.001}).acquire(KEYS[0], 0.0)
            return  # one of ten is enough: that the ring is closed has a check of its own
        except AlgorithmError as error:
            last = f"{error.what}; {error.place}: `{error.source}`"
    raise Wrong(
        "that a server of weight 0.001 gets the requests when it is the only one",
        last,
        "with 160 points for a weight of 1, how many does 0.001 round to, and what is a ring without a point?",
    )


@task.check(points=2)
def the_ring_is_closed(Ring):
    """Behind the last point the ring goes on at the first one: every key has a server."""
    for number in range(20):
        pool = pool_of(Ring, f"a{number}", f"b{number}", points=1)
        for key in KEYS[:20]:
            try:
                pool.acquire(key, 0.0).release(True, 0.0)
            except AlgorithmError as error:
                raise Wrong(
                    f"a server for {key} on a ring of Ring(points=1) with two servers, a{number} and b{number}",
                    f"{error.what}; {error.place}: `{error.source}`",
                    "what follows the last point of the ring, for a key behind it, and for one that is sent further on?",
                ) from None


@task.check(points=2, hidden=True)
def twenty_servers_in_any_order(Ring):
    """Twenty servers, listed backwards, place all keys as they do forwards."""
    names = [f"server-{i}.example" for i in range(20)]
    moved = first_moved(
        homes(pool_of(Ring, *names)), homes(pool_of(Ring, *reversed(names))), lambda old, new: False
    )
    expect(not moved, "the same placement", moved)

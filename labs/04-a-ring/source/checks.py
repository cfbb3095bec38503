"""Checks of the lab "A ring"."""

from collections import Counter
from math import ceil

from lbkit.core import Backend, Pool
from lbkit.core.contract import AlgorithmError
from lbkit.course import Shares, Steps, Task, Wrong, elsewhere, expect, in_any_history, seconds_each

task = Task(
    title="A ring",
    module="ring",
    defines=("Ring",),
    minutes=60,
    difficulty=2,
    before="notebook 03, up to consistent hashing; lab 02",
)

KEYS = [f"/photo/{i}" for i in range(2000)]
FACTOR = 1.25
WHEN = ("before", "after")
NO_SERVER = 0.02  # the share of keys that may find none, except where this is what is checked


def pool_of(Ring, *names, points=None, **weights):
    weights = dict.fromkeys(names, 1.0) | weights
    ring = Ring(points=points) if points else Ring()
    return Pool([Backend(name, weight=weight) for name, weight in weights.items()], ring)


def homes(pool, keys=KEYS, ends=(True,)):
    """The server of each key; each request ends before the next one comes, in one of these ways in turn.

    A few keys may find no server: that the ring is closed has a check of its own."""
    found = {}

    def ask(key):
        lease = pool.acquire(key, 0.0)
        found[key] = lease.backend.name
        lease.release(ends[len(found) % len(ends)], 0.0)

    served(ask, keys)
    return found


def served(ask, keys, missing=NO_SERVER):
    """Call `ask` with each key; return those for which it raised nothing: nearly all, or else it is raised."""
    good = []
    for number, key in enumerate(keys):
        try:
            ask(key)
            good.append(key)
        except Exception:
            if number - len(good) >= missing * len(keys):
                raise
    return good


def counted(names):
    """`a: 3, b: 5`."""
    counts = Counter(names)
    return ", ".join(f"{name}: {counts[name]}" for name in sorted(counts))


def keys_of(found):
    """The number of keys of each server."""
    return dict(sorted(Counter(found.values()).items()))


def first_moved(before, after, allowed):
    """The first key that moved although it should not have; "" if there is none."""
    pairs = ((key, before[key], after[key]) for key in before if key in after)
    moved = ((k, old, new) for k, old, new in pairs if old != new and not allowed(old, new))
    return next((f"{key} moved from {old} to {new}" for key, old, new in moved), "")


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


def hot(pool, count, key="/popular"):
    """`count` requests for one key come, and none of them ends; yield where each went."""
    return [pool.acquire(key, 0.0).backend.name for _ in range(count)]


def loads(pool):
    return {b.name: b.in_flight for b in pool.backends}


@task.check(points=2)
def no_server_gets_more_than_its_bound(Ring):
    """With one popular key, no server has more in flight than 1.25 times its share, rounded up."""
    pool = pool_of(Ring, *"abcd")
    names = []
    for number in range(1, 61):
        names += hot(pool, 1)
        most = ceil(FACTOR * number / 4)
        busiest = max(pool.backends, key=lambda b: b.in_flight)
        expect(
            busiest.in_flight <= most,
            f"at most {most} of {number} requests in flight at each of four servers: 1.25 x {number} / 4, "
            "rounded up",
            f"{busiest.name} has {busiest.in_flight}: {', '.join(f'{n} {c}' for n, c in loads(pool).items())}",
            "count the new request, too; a server that is full is passed by, and the next on the ring is asked",
        )


@task.check(points=2)
def a_key_stays_while_there_is_room(Ring):
    """A request leaves its key's own server only if it would be above the bound there."""
    pool = pool_of(Ring, *"abcd")
    (home,) = set(homes(pool, ["/popular"]).values())
    names = []
    for number in range(1, 31):
        before = pool[home].in_flight
        names += hot(pool, 1)
        most = ceil(FACTOR * number / 4)
        expect(
            before >= most or names[-1] == home,
            f"request {number} at {home}, which has {before} in flight and may have {most}: 1.25 x {number} / 4, "
            "rounded up",
            f"it went to {names[-1]}",
            "the new request counts; and the bound is rounded up, else the first request finds all full",
            Steps([*names[:-1], home], names),
        )


@task.check(points=2)
def what_does_not_fit_goes_on_along_the_ring(Ring):
    """If a key's server is full, the key goes where it would go if that server had left."""
    for key in KEYS[:20]:
        pool = pool_of(Ring, *"abcde")
        home, second = hot(pool, 2, key)  # with two in flight, each server may have one
        pool = pool_of(Ring, *"abcde")
        pool.remove(home)
        (heir,) = homes(pool, [key]).values()
        expect(
            second == heir,
            f"the second request for {key} at {heir}: its own server {home} is full, and without {home} its "
            f"server is {heir}",
            f"it went to {second}",
            "go on from point to point, from the key's own, until one belongs to a server with room",
        )


@task.check(points=2)
def requests_that_have_ended_do_not_count(Ring):
    """The bound is about requests in flight: those that ended, well or badly, do not loosen it."""
    pool = pool_of(Ring, *"abcd")
    homes(pool, KEYS[:300], ends=(True, False, None))
    hot(pool, 20)
    most = max(loads(pool).values())
    expect(
        most <= 7,
        "at most 7 of 20 requests in flight at one of four servers, after 300 others have come and gone",
        f"one has {most}: {', '.join(f'{n} {c}' for n, c in loads(pool).items())}",
        "`done` is called for each request that ends, with ok True, False or None",
    )


@task.check(points=2)
def a_server_that_leaves_is_no_longer_counted(Ring):
    """Requests of a server that has left may end later; the bound of the others is as it should be."""
    pool = pool_of(Ring, *"abcd")
    leases = [pool.acquire(key, 0.0) for key in KEYS[:100]]
    for name in ("b", "c"):
        pool.remove(name)
        for lease in leases:
            if lease.backend.name == name:
                lease.release(True, 1.0)
    for lease in leases:
        lease.release(True, 2.0)
    got = hot(pool, 40)
    counts = Counter(got)
    expect(
        max(counts.values()) <= 25,
        "25 of 40 requests at one of the two servers that are left, and 15 at the other",
        counted(got),
        "if you add up the requests in `rebuild`, those of a server that has left are not in the sum: what must "
        "`done` do when one of them ends?",
    )
    expect(
        max(counts.values()) >= 24,
        "25 of 40 requests for one key at its own server, whose bound that is, and the others at the other one",
        counted(got),
        "what do you count in `rebuild`, when requests are running?",
    )


@task.check(points=2, seconds=4.0)
def a_pick_does_not_look_at_every_server(Ring):
    """With a hundred times as many servers, a pick takes about as long as before."""
    few, many = (time_of_a_pick(Ring, number) for number in (30, 3000))
    expect(
        many < 8 * few,
        "that a pick among 3000 servers takes about as long as one among 30",
        "it takes more than 8 times as long",
        "sort the points once, in `rebuild`, and search with `bisect`; and do not add up all `in_flight` for "
        "each request: keep the sum up to date",
    )


def time_of_a_pick(Ring, number):
    """Seconds of processor time for a pick."""
    backends = tuple(Backend(f"s{i}") for i in range(number))
    for backend in backends:
        backend.in_flight = 5  # so that no server is full
    ring = Ring(points=4)
    ring.rebuild(backends)

    def decide(key):
        ring.done(ring.pick(backends, key, 0.0), 0.01, True, 0.0)

    return seconds_each(decide, served(decide, KEYS[:100], missing=0.1))


@task.check(points=1)
def any_history(Ring):
    """Whatever happens to the pool, it picks one of the servers that may be picked."""
    in_any_history(Ring, histories=5)


@task.check(points=3, hidden=True)
def bounds_follow_weights(Ring):
    """A server of weight 2 may have twice as many in flight as one of weight 1."""
    pool = pool_of(Ring, a=2.0, b=1.0, c=1.0)
    for key in KEYS[:20]:
        for number in range(1, 41):
            hot(pool, 1, key)
            for backend in pool.backends:
                most = ceil(FACTOR * number * backend.weight / 4)
                expect(backend.in_flight <= most, f"at most {most} at {backend.name}", f"{backend.in_flight}")
        pool = pool_of(Ring, a=2.0, b=1.0, c=1.0)


@task.check(points=2, hidden=True)
def twenty_servers_in_any_order(Ring):
    """Twenty servers, listed backwards, place all keys as they do forwards."""
    names = [f"server-{i}.example" for i in range(20)]
    moved = first_moved(
        homes(pool_of(Ring, *names)), homes(pool_of(Ring, *reversed(names))), lambda old, new: False
    )
    expect(not moved, "the same placement", moved)

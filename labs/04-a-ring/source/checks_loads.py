"""Checks of how many requests a server gets at once: the bound."""

from collections import Counter
from math import ceil

from lbkit.core import Backend
from lbkit.course import Steps, expect, in_any_history, seconds_each

from . import task
from .pools import KEYS, counted, homes, pool_of, served

FACTOR = 1.25


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
        "25 of 40 requests for one key at its own server, which is its bound, and the others at the other one",
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

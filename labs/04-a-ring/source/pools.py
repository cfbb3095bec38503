"""Pools for the checks of this lab, and where their keys go."""

from collections import Counter

from lbkit.core import Backend, Pool

KEYS = [f"/photo/{i}" for i in range(2000)]
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


def first_moved(before, after, allowed):
    """The first key that moved although it should not have; "" if there is none."""
    pairs = ((key, before[key], after[key]) for key in before if key in after)
    moved = ((k, old, new) for k, old, new in pairs if old != new and not allowed(old, new))
    return next((f"{key} moved from {old} to {new}" for key, old, new in moved), "")

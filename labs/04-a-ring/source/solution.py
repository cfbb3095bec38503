from bisect import bisect
from hashlib import blake2b
from math import ceil

from lbkit import Balancer


def position(text):
    """A place on the ring for a text, from 0 to 2**64: the same in every process."""
    ### BEGIN SOLUTION
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
    ### END SOLUTION


class ByPath(Balancer):
    """Equal paths go to the same server."""

    keyed = True
    keyed_by = "path"

    def pick(self, backends, key, now):
        return self.pick_except(backends, (), key, now)


# %%


class Ring(ByPath):
    """Consistent hashing with bounded loads."""

    def __init__(self, points=160, factor=1.25):
        self.points = points  # on the ring, for a server of weight 1
        self.factor = factor  # times its share of the requests in flight: the most that a server has
        ### BEGIN SOLUTION
        self.ring = []
        self.here = set()
        self.running = 0  # requests in flight, at the servers that are here
        self.weight = 0.0  # of all of them
        ### END SOLUTION

    def rebuild(self, backends):
        """Called before the first pick, and whenever servers come, go, or change their weight."""
        ### BEGIN SOLUTION
        self.ring = sorted(
            (position(f"{b.name}/{i}"), b.name, b)
            for b in backends
            for i in range(max(1, round(self.points * b.weight)))
        )
        self.here = set(backends)
        self.running = sum(b.in_flight for b in backends)
        self.weight = sum(b.weight for b in backends)
        ### END SOLUTION

    def pick_except(self, backends, exclude, key, now):
        """Return the server of `key`, a text, but none of `exclude`, where the request has failed already."""
        ### BEGIN SOLUTION
        self.running += 1
        share = self.factor * self.running / self.weight
        first = bisect(self.ring, (position(key),))
        full = []
        for i in range(first, first + len(self.ring)):
            backend = self.ring[i % len(self.ring)][2]
            if backend in exclude or backend in full:
                continue
            if backend.in_flight < ceil(share * backend.weight):
                return backend
            full.append(backend)
        return full[0]  # none has room: the nearest
        ### END SOLUTION

    def done(self, backend, latency, ok, now):
        """Called when a request that was picked has ended, well or badly; its server may be gone."""
        ### BEGIN SOLUTION
        if backend in self.here:
            self.running -= 1
        ### END SOLUTION

"""fails: a-join-moves-keys-to-the-newcomer-only, a-server-that-leaves-moves-its-own-keys-only, what-does-not-fit-goes-on-along-the-ring

The hash of the key modulo the number of places: a change of the pool moves nearly all keys.
"""

from hashlib import blake2b
from math import ceil

from lbkit import Balancer


def position(text):
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


class Ring(Balancer):
    keyed = True
    keyed_by = "path"

    def __init__(self, points=160, factor=1.25):
        self.points = points
        self.factor = factor
        self.here = set()
        self.running = 0

    def rebuild(self, backends):
        self.by_name = sorted(backends, key=lambda b: b.name)
        self.slots = [b for b in self.by_name for _ in range(max(1, round(4 * b.weight)))]
        self.here = set(backends)
        self.running = sum(b.in_flight for b in backends)
        self.weight = sum(b.weight for b in backends)

    def pick(self, backends, key, now):
        return self.pick_except(backends, (), key, now)

    def pick_except(self, backends, exclude, key, now):
        self.running += 1
        share = self.factor * self.running / self.weight
        first = position(key) % len(self.slots)
        full = []
        for i in range(first, first + len(self.slots)):
            backend = self.slots[i % len(self.slots)]
            if backend in exclude or backend in full:
                continue
            if backend.in_flight < ceil(share * backend.weight):
                return backend
            full.append(backend)
        return full[0]

    def done(self, backend, latency, ok, now):
        if backend in self.here:
            self.running -= 1

"""Mixes a CRC, searches by hand, and walks until every server that may be used has been asked."""

import zlib
from math import ceil

from lbkit import Balancer


def mixed(text):
    """CRC-32 alone puts similar names close together: multiply, and fold the high bits down."""
    number = zlib.crc32(text.encode()) * 0x9E3779B97F4A7C15 % 2**64
    number = (number ^ (number >> 29)) * 0xBF58476D1CE4E5B9 % 2**64
    return number ^ (number >> 32)


class Ring(Balancer):
    keyed = True
    keyed_by = "path"

    def __init__(self, points=160, factor=1.25):
        self.points = points
        self.factor = factor
        self.total = 0

    def rebuild(self, backends):
        self.ring = []
        for backend in sorted(backends, key=lambda b: b.name):
            for i in range(round(self.points * backend.weight) or 1):
                self.ring.append((mixed(f"point {i} of {backend.name}"), backend))
        self.ring.sort(key=lambda point: point[0])
        self.members_now = frozenset(backends)
        self.total = sum(b.in_flight for b in backends)
        self.all_weights = sum(b.weight for b in backends)

    def behind(self, place):
        low, high = 0, len(self.ring)
        while low < high:
            middle = (low + high) // 2
            if self.ring[middle][0] < place:
                low = middle + 1
            else:
                high = middle
        return low

    def pick(self, backends, key, now):
        return self.pick_except(backends, set(), key, now)

    def pick_except(self, backends, exclude, key, now):
        self.total += 1
        index = self.behind(mixed(key))
        candidates = {}
        while len(candidates) < len(self.members_now) - len(self.members_now & set(exclude)):
            backend = self.ring[index % len(self.ring)][1]
            index += 1
            if backend in candidates or backend in exclude:
                continue
            bound = ceil(self.factor * self.total * backend.weight / self.all_weights)
            if backend.in_flight + 1 <= bound:
                return backend
            candidates[backend] = bound
        return next(iter(candidates))

    def done(self, backend, latency, ok, now):
        self.total -= backend in self.members_now

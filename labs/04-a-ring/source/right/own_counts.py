"""A list of points and one of owners, changed only where servers change; its own count of each server."""

import hashlib
import math
from bisect import bisect_left
from itertools import chain

from lbkit import Balancer


class Ring(Balancer):
    keyed = True
    keyed_by = "path"

    def __init__(self, points=160, factor=1.25):
        self.points, self.factor = points, factor
        self.places, self.owners = [], {}
        self.had = {}  # number of points of each server
        self.counts = {}

    def number(self, server):
        return max(1, math.ceil(self.points * server.weight))

    def rebuild(self, backends):
        wanted = {b: self.number(b) for b in backends}
        if wanted != self.had:
            self.had = wanted
            self.owners = {}
            for b in sorted(backends, key=lambda b: b.name):
                for i in range(wanted[b]):
                    digest = hashlib.md5(f"{i}-{b.name}".encode()).hexdigest()
                    self.owners.setdefault(digest, b)
            self.places = sorted(self.owners)
        self.counts = {b: b.in_flight for b in backends}
        self.total = sum(self.counts.values())
        self.weights = sum(b.weight for b in backends)

    def pick_except(self, backends, exclude, key, now):
        self.total += 1
        at = bisect_left(self.places, hashlib.md5(key.encode()).hexdigest())
        usable = None
        for place in chain(range(at, len(self.places)), range(at)):
            server = self.owners[self.places[place]]
            if server in exclude:
                continue
            usable = usable or server
            if self.counts[server] + 1 <= math.ceil(
                self.factor * self.total * server.weight / self.weights
            ):
                usable = server
                break
        self.counts[usable] += 1
        return usable

    def pick(self, backends, key, now):
        return self.pick_except(backends, (), key, now)

    def done(self, backend, latency, ok, now):
        if backend in self.counts:
            self.counts[backend] -= 1
            self.total -= 1

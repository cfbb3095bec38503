"""A count in a dictionary; among equals, the one that was picked longest ago."""

from collections import defaultdict

from lbkit import Balancer


class FewestRunning(Balancer):
    def __init__(self):
        self.running = defaultdict(int)
        self.last = defaultdict(int)
        self.picks = 0

    def pick(self, backends, key, now):
        chosen = min(backends, key=lambda b: (self.running[b], self.last[b]))
        self.picks += 1
        self.last[chosen] = self.picks
        self.running[chosen] += 1
        return chosen

    def done(self, backend, latency, ok, now):
        if self.running[backend]:
            self.running[backend] -= 1

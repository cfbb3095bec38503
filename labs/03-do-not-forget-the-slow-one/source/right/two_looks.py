"""Looks at two servers at random, and takes the better one; averages fade with time, and peaks count at once."""

from math import exp

from lbkit import Balancer


class Explorer(Balancer):
    def __init__(self, memory=3.0):
        self.memory = memory  # seconds
        self.known = {}  # average and when it was made

    def cost(self, backend, now):
        if backend not in self.known:
            return 1e6 * backend.in_flight
        average, when = self.known[backend]
        return average * exp((when - now) / self.memory) * (1 + backend.in_flight)

    def pick(self, backends, key, now):
        if len(backends) == 1:
            return backends[0]
        looked_at = self.rng.sample(list(backends), min(3, len(backends)))
        return min(looked_at, key=lambda b: self.cost(b, now))

    def done(self, backend, latency, ok, now):
        if ok is None:
            return
        if ok is False:
            latency = 1.0
        average, when = self.known.get(backend, (latency, now))
        kept = max(0.1, min(0.8, exp((when - now) / self.memory)))
        self.known[backend] = kept * average + (1 - kept) * latency, now

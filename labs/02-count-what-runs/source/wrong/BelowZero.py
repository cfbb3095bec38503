"""fails: counts-never-fall-below-zero

Subtracts without looking.
"""

from lbkit import Balancer


class FewestRunning(Balancer):
    def __init__(self):
        self.running = {}

    def pick(self, backends, key, now):
        fewest = min(self.running.get(b, 0) for b in backends)
        chosen = self.rng.choice([b for b in backends if self.running.get(b, 0) == fewest])
        self.running[chosen] = fewest + 1
        return chosen

    def done(self, backend, latency, ok, now):
        self.running[backend] = self.running.get(backend, 0) - 1

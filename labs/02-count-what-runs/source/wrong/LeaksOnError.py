"""fails: a-failure-gives-its-place-back

Gives back after good answers only, so a server that fails looks busy for ever.
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
        if ok:
            self.running[backend] = max(0, self.running.get(backend, 0) - 1)

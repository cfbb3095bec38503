"""fails: a-change-of-the-pool-keeps-the-counts

Makes its counts anew at each change of the pool.
"""

from lbkit import Balancer


class FewestRunning(Balancer):
    def rebuild(self, backends):
        self.running = {b: 0 for b in backends}

    def pick(self, backends, key, now):
        fewest = min(self.running[b] for b in backends)
        chosen = self.rng.choice([b for b in backends if self.running[b] == fewest])
        self.running[chosen] += 1
        return chosen

    def done(self, backend, latency, ok, now):
        self.running[backend] = max(0, self.running.get(backend, 0) - 1)

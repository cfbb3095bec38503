"""fails: a-thousand-servers-are-no-problem

Keeps a list of the running requests and counts in it for each server.
"""

from lbkit import Balancer


class FewestRunning(Balancer):
    def __init__(self):
        self.requests = []

    def pick(self, backends, key, now):
        fewest = min(self.requests.count(b) for b in backends)
        chosen = self.rng.choice([b for b in backends if self.requests.count(b) == fewest])
        self.requests.append(chosen)
        return chosen

    def done(self, backend, latency, ok, now):
        if backend in self.requests:
            self.requests.remove(backend)

"""fails: idle-servers-share-the-work

Takes the first of equals, which gets all the work of quiet hours.
"""

from lbkit import Balancer


class FewestRunning(Balancer):
    def __init__(self):
        self.running = {}

    def pick(self, backends, key, now):
        chosen = min(backends, key=lambda b: self.running.get(b, 0))
        self.running[chosen] = self.running.get(chosen, 0) + 1
        return chosen

    def done(self, backend, latency, ok, now):
        self.running[backend] = max(0, self.running.get(backend, 0) - 1)

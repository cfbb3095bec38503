"""fails: the-least-busy-server-is-next, an-answer-gives-its-place-back, a-failure-gives-its-place-back, counts-never-fall-below-zero, a-change-of-the-pool-keeps-the-counts

Reads a count that is kept elsewhere, which not every proxy has.
"""

from lbkit import Balancer


class FewestRunning(Balancer):
    def pick(self, backends, key, now):
        fewest = min(b.in_flight for b in backends)
        return self.rng.choice([b for b in backends if b.in_flight == fewest])

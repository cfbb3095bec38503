"""fails: an-answer-gives-its-place-back, a-failure-gives-its-place-back

Counts what has begun and never what has ended.
"""

from lbkit import Balancer


class FewestRunning(Balancer):
    def __init__(self):
        self.count = {}

    def pick(self, backends, key, now):
        fewest = min(self.count.get(b, 0) for b in backends)
        chosen = self.rng.choice([b for b in backends if self.count.get(b, 0) == fewest])
        self.count[chosen] = fewest + 1
        return chosen

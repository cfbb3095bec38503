"""Counts what each server has had since it came, and picks the one that would be least ahead of its share."""

from lbkit import Balancer


class Turns(Balancer):
    def __init__(self):
        self.had = {}

    def rebuild(self, backends):
        # Keep how far each is ahead; a newcomer begins level.
        total = sum(b.weight for b in backends)
        self.had = {b: self.had.get(b, 0.0) for b in backends}
        self.total = total

    def pick(self, backends, key, now):
        for backend in backends:
            self.had[backend] = self.had.get(backend, 0.0) - backend.weight / self.total
        chosen = min(backends, key=self.had.get)
        self.had[chosen] += 1.0
        return chosen

"""Keeps the second until which nothing passes: the past for a closed breaker, infinity while a probe is on its way."""

from collections import defaultdict
from math import inf


class Breakers:
    def __init__(self, failures=5, open_for=2.0):
        self.failures, self.open_for = failures, open_for
        self.row = defaultdict(int)
        self.until = defaultdict(lambda: -inf)
        self.counts_from = defaultdict(lambda: -inf)

    def allows(self, backend, now):
        return now >= self.until[backend]

    def started(self, backend, now):
        if self.row[backend] >= self.failures:
            self.until[backend], self.counts_from[backend] = inf, now

    def ended(self, backend, started, ok, now):
        if started < self.counts_from[backend]:
            return
        if ok:
            self.row[backend], self.until[backend] = 0, -inf
        else:
            self.row[backend] += 1
            if self.row[backend] >= self.failures:
                self.until[backend], self.counts_from[backend] = now + self.open_for, inf

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


class Shedder:
    """Keeps two running counts; the oldest outcomes leave when a new one comes, or when it is asked."""

    def __init__(self, window=5.0, aim=0.95, most=0.9):
        self.window, self.aim, self.most = window, aim, most
        self.log, self.first, self.good = [], 0, 0

    def clean(self, now):
        while self.first < len(self.log) and self.log[self.first][1] + self.window < now:
            self.good -= self.log[self.first][0]
            self.first += 1
        if self.first > 1000:
            self.log, self.first = self.log[self.first :], 0

    def share(self, now):
        self.clean(now)
        count = len(self.log) - self.first
        excess = (count - self.good / self.aim) / (count + 1)
        return sorted((0.0, excess, self.most))[1]

    def ended(self, ok, now):
        self.clean(now)
        self.log.append((int(ok), now))
        self.good += ok

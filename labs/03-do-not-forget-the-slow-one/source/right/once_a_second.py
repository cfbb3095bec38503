"""Explores by the clock: whoever has not been asked for a second is next. Unknown servers count as average."""

from statistics import fmean

from lbkit import Balancer


class Explorer(Balancer):
    def __init__(self):
        self.times = {}
        self.asked = {}

    def rebuild(self, backends):
        self.times = {b: t for b, t in self.times.items() if b in set(backends)}

    def pick(self, backends, key, now):
        guess = fmean(self.times.values()) if self.times else 1.0
        stale = [b for b in backends if now - self.asked.get(b, float("-inf")) > 1.0]
        chosen = (
            min(stale, key=lambda b: self.asked.get(b, 0.0))
            if stale
            else min(backends, key=lambda b: (b.in_flight + 1) * self.times.get(b, guess))
        )
        self.asked[chosen] = now
        return chosen

    def done(self, backend, latency, ok, now):
        if ok is None:
            return
        sample = latency if ok else 10 * max([latency, *self.times.values()])
        if not ok:
            sample = min(sample, 2.0)
        self.times[backend] = 0.6 * self.times.get(backend, sample) + 0.4 * sample

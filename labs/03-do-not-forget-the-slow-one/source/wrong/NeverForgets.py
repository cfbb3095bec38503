"""fails: a-server-that-is-well-again-comes-back

The mean of all answers since the start still holds the slow ones long after.
"""

from lbkit import Balancer


class Explorer(Balancer):
    """The server that is expected to answer soonest, and now and then another one."""

    def __init__(self):
        self.times = {}  # seconds, by backend: about how long an answer takes
        self.slowest = 0.0
        self.sums = {}
        self.counts = {}

    def pick(self, backends, key, now):
        """Return one of `backends`. Each has `in_flight`, the number of its running requests.

        `self.rng` is a source of chance: `self.rng.random()`, `self.rng.choice(backends)`."""
        for backend in backends:
            if backend not in self.times and backend.in_flight == 0:
                return backend  # one request, to get to know it
        known = [b for b in backends if b in self.times] or backends
        if self.rng.random() < 0.05:
            return self.rng.choice(known)  # it may have changed
        return min(known, key=lambda b: self.times.get(b, 0.0) * (b.in_flight + 1))

    def done(self, backend, latency, ok, now):
        """A request ended after `latency` seconds. `ok`: whether it went well; None: its client left."""
        if ok is None:
            return
        self.slowest = max(self.slowest, latency)
        if not ok:
            latency = self.slowest  # a failure is no fast answer
        self.sums[backend] = self.sums.get(backend, 0.0) + latency
        self.counts[backend] = self.counts.get(backend, 0) + 1
        self.times[backend] = self.sums[backend] / self.counts[backend]

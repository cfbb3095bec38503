"""fails: the-faster-server-gets-more, a-server-that-becomes-slow-is-avoided

Every other request goes anywhere.
"""

from lbkit import Balancer


class Explorer(Balancer):
    """The server that is expected to answer soonest, and now and then another one."""

    def __init__(self):
        self.times = {}  # seconds, by backend: about how long an answer takes
        self.slowest = 0.0

    def pick(self, backends, key, now):
        """Return one of `backends`. Each has `in_flight`, the number of its running requests.

        `self.rng` is a source of chance: `self.rng.random()`, `self.rng.choice(backends)`."""
        for backend in backends:
            if backend not in self.times and backend.in_flight == 0:
                return backend  # one request, to get to know it
        known = [b for b in backends if b in self.times] or backends
        if self.rng.random() < 0.5:
            return self.rng.choice(known)  # it may have changed
        return min(known, key=lambda b: self.times.get(b, 0.0) * (b.in_flight + 1))

    def done(self, backend, latency, ok, now):
        """A request ended after `latency` seconds. `ok`: whether it went well; None: its client left."""
        if ok is None:
            return
        self.slowest = max(self.slowest, latency)
        if not ok:
            latency = self.slowest  # a failure is no fast answer
        known = self.times.get(backend, latency)
        self.times[backend] = known + 0.3 * (latency - known)

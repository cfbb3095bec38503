from lbkit import Balancer


class Explorer(Balancer):
    """The server that is expected to answer soonest, and now and then another one."""

    def __init__(self):
        self.times = {}  # seconds, by backend: about how long an answer takes
        raise NotImplementedError  # your code here

    def pick(self, backends, key, now):
        """Return one of `backends`. Each has `in_flight`, the number of its running requests.

        `self.rng` is a source of chance: `self.rng.random()`, `self.rng.choice(backends)`."""
        raise NotImplementedError  # your code here

    def done(self, backend, latency, ok, now):
        """A request ended after `latency` seconds. `ok`: whether it went well; None: its client left."""
        raise NotImplementedError  # your code here

from lbkit import Balancer


class Explorer(Balancer):
    """The server that is expected to answer soonest, and now and then another one."""

    def __init__(self):
        self.times = {}  # seconds, by backend: about how long an answer takes
        # YOUR CODE HERE
        raise NotImplementedError()

    def pick(self, backends, key, now):
        """Return one of `backends`. Each has `in_flight`, the number of its running requests.

        `self.rng` is a source of chance: `self.rng.random()`, `self.rng.choice(backends)`."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def done(self, backend, latency, ok, now):
        """A request ended after `latency` seconds. `ok`: whether it went well; None: its client left."""
        # YOUR CODE HERE
        raise NotImplementedError()

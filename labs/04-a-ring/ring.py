from bisect import bisect
from hashlib import blake2b
from math import ceil

from lbkit import Balancer


def position(text):
    """A place on the ring for a text, from 0 to 2**64: the same in every process."""
    # YOUR CODE HERE
    raise NotImplementedError()


class Ring(Balancer):
    """Consistent hashing with bounded loads."""

    keyed = True  # equal keys go to the same server
    keyed_by = "path"  # of a request

    def __init__(self, points=160, factor=1.25):
        self.points = points  # on the ring, for a server of weight 1
        self.factor = factor  # times its share of the requests in flight: the most that a server has
        # YOUR CODE HERE
        raise NotImplementedError()

    def rebuild(self, backends):
        """Called before the first pick, and whenever servers come, go, or change their weight.

        Some requests may be running: each backend has its `in_flight`, and its `name` and `weight`."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def pick(self, backends, key, now):
        """Return the server of `key`, a text."""
        return self.pick_except(backends, (), key, now)

    def pick_except(self, backends, exclude, key, now):
        """The same, but none of `exclude`, where the request has failed already."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def done(self, backend, latency, ok, now):
        """Called when a request that was picked has ended, well or badly; its server may be gone."""
        # YOUR CODE HERE
        raise NotImplementedError()

import threading
import time


class TokenBucket:
    """Admits `rate` requests a second in the long run, and up to `capacity` at once."""

    def __init__(self, rate, capacity, clock=time.monotonic):
        """`rate`: tokens a second. `capacity`: tokens it can hold; it begins full. `clock()` returns seconds."""
        self.rate, self.capacity, self.clock = rate, capacity, clock
        self.tokens = capacity
        self.last = clock()
        raise NotImplementedError  # your code here

    def allow(self, cost=1):
        """Return whether a request of this cost may go on now; if so, it has paid.

        Raises ValueError for a cost that no bucket of this capacity could ever admit, or below zero."""
        raise NotImplementedError  # your code here

import threading
import time


class TokenBucket:
    """Admits `rate` requests a second in the long run, and up to `capacity` at once."""

    def __init__(self, rate, capacity, clock=time.monotonic):
        """`rate`: tokens a second. `capacity`: tokens it can hold; it begins full. `clock()` returns seconds."""
        self.rate, self.capacity, self.clock = rate, capacity, clock
        self.tokens = capacity
        self.last = clock()
        ### BEGIN SOLUTION
        self.lock = threading.Lock()
        ### END SOLUTION

    def allow(self, cost=1):
        """Return whether a request of this cost may go on now; if so, it has paid.

        Raises ValueError for a cost that no bucket of this capacity could ever admit, or below zero."""
        ### BEGIN SOLUTION
        if not 0 <= cost <= self.capacity:
            raise ValueError(f"cost is {cost}: use a number from 0 to {self.capacity}")
        with self.lock:
            now = self.clock()
            passed = max(0.0, now - self.last)  # a clock may be set back
            self.last = now
            self.tokens = min(self.capacity, self.tokens + passed * self.rate)
            if self.tokens < cost - 1e-9:  # sums of floats miss by their last digits
                return False
            self.tokens -= cost
            return True
        ### END SOLUTION

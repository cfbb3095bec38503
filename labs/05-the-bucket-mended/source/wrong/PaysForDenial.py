"""fails: a-denial-costs-nothing

Takes the tokens first, and then looks whether there were enough.
"""

import threading
import time


class TokenBucket:
    def __init__(self, rate, capacity, clock=time.monotonic):
        self.rate, self.capacity, self.clock = rate, capacity, clock
        self.tokens, self.last, self.lock = capacity, clock(), threading.Lock()

    def allow(self, cost=1):
        if not 0 <= cost <= self.capacity:
            raise ValueError(f"cost is {cost}")
        with self.lock:
            now = self.clock()
            passed = max(0.0, now - self.last)
            self.last = now
            self.tokens = min(self.capacity, self.tokens + passed * self.rate)
            self.tokens -= cost
            return self.tokens >= -1e-9

"""fails: silence-fills-it-to-the-brim-only

Adds tokens without looking at the capacity.
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
            self.tokens = self.tokens + passed * self.rate
            if self.tokens < cost - 1e-9:
                return False
            self.tokens -= cost
            return True

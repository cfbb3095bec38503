"""fails: it-refills-at-its-rate, a-denial-costs-nothing

Rounds down to whole tokens at each look, so frequent looks get nothing.
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
            self.tokens = min(self.capacity, self.tokens + int(passed * self.rate + 1e-9))
            if self.tokens < cost - 1e-9:
                return False
            self.tokens -= cost
            return True

"""The virtual scheduling form: keeps the moment at which the bucket would be full again (GCRA, ITU-T I.371)."""

import threading
import time


class TokenBucket:
    def __init__(self, rate, capacity, clock=time.monotonic):
        self.rate, self.capacity, self.clock = rate, capacity, clock
        self.lock = threading.RLock()
        self.now = clock()
        self.full_at = self.now

    def allow(self, cost=1):
        if not (cost >= 0 and cost <= self.capacity):
            raise ValueError("cost: from 0 to the capacity")
        with self.lock:
            now = self.clock()
            if now < self.now:
                self.full_at -= self.now - now
            self.now = now
            full_at = max(self.full_at, now) + cost / self.rate
            if full_at - now > self.capacity / self.rate + 1e-9:
                return False
            self.full_at = full_at
            return True

"""The other side of it: a level that rises with each request and leaks; the clock is read before the lock."""

import time
from threading import Lock


class TokenBucket:
    def __init__(self, rate, capacity, clock=time.monotonic):
        self.rate, self.capacity, self.clock = rate, capacity, clock
        self.level, self.seen, self.lock = 0.0, clock(), Lock()

    def allow(self, cost=1):
        if cost != cost or cost < 0 or cost > self.capacity:
            raise ValueError(cost)
        now = self.clock()
        self.lock.acquire()
        try:
            level = max(0.0, self.level - self.rate * max(0.0, now - self.seen))
            self.level, self.seen = level, now
            if level + cost <= self.capacity + 1e-9:
                self.level = level + cost
                return True
            return False
        finally:
            self.lock.release()

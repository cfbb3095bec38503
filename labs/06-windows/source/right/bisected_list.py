"""Sorted lists and bisection; two generations of clients, of which the older one is dropped."""

import time
from bisect import bisect_right


class SlidingWindow:
    def __init__(self, limit, window, clock=time.monotonic):
        self.limit, self.window, self.clock = limit, window, clock
        self.young, self.old, self.turned = {}, {}, clock()

    def allow(self, client=""):
        now = self.clock()
        if now - self.turned > self.window:
            self.old = self.young if now - self.turned < 2 * self.window else {}
            self.young, self.turned = {}, now
        times = self.young.get(client) or self.old.get(client) or []
        times = times[bisect_right(times, now - self.window) :]
        allowed = len(times) < self.limit
        if allowed:
            times.append(now)
        if times:
            self.young[client] = times
        return allowed

"""fails: a-busy-client-needs-little-memory, silent-clients-are-forgotten

Keeps all times, and counts those that lie within the window.
"""

import time
from collections import deque


class SlidingWindow:
    def __init__(self, limit, window, clock=time.monotonic):
        self.limit, self.window, self.clock = limit, window, clock
        self.admitted = {}
        self.sweep_at = clock() + window

    def allow(self, client=""):
        now = self.clock()
        times = self.admitted.setdefault(client, deque())
        if sum(1 for i in range(1, 1 + min(len(times), self.limit)) if times[-i] > now - self.window) >= self.limit:
            return False
        times.append(now)
        return True

    def sweep(self, now):
        old = [client for client, times in self.admitted.items() if times[-1] <= now - self.window]
        for client in old:
            del self.admitted[client]
        self.sweep_at = now + self.window

"""fails: clients-do-not-disturb-each-other, silent-clients-are-forgotten

One list of times for all clients.
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
        if now >= self.sweep_at:
            self.sweep(now)
        times = self.admitted.setdefault("", deque())
        while times and times[0] <= now - self.window:
            times.popleft()
        if len(times) >= self.limit:
            return False
        times.append(now)
        return True

    def sweep(self, now):
        old = [client for client, times in self.admitted.items() if times[-1] <= now - self.window]
        for client in old:
            del self.admitted[client]
        self.sweep_at = now + self.window

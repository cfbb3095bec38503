"""fails: a-request-does-not-look-at-all-clients

Looks for silent clients at each request.
"""

import time
from collections import deque


class SlidingWindow:
    """Admits at most `limit` requests of each client in any `window` seconds."""

    def __init__(self, limit, window, clock=time.monotonic):
        """`window`: its length in seconds. `clock()` returns seconds, and never goes back."""
        self.limit = limit
        self.window = window
        self.clock = clock
        self.admitted = {}  # the times of each client's admitted requests, oldest first
        self.sweep_at = clock() + window

    def allow(self, client=""):
        """Return whether a request of this client may go on now."""
        now = self.clock()
        self.sweep(now)
        times = self.admitted.setdefault(client, deque())
        while times and times[0] <= now - self.window:
            times.popleft()
        if len(times) >= self.limit:
            return False
        times.append(now)
        return True

    def sweep(self, now):
        """Forget the clients that have had nothing for a window."""
        old = [client for client, times in self.admitted.items() if times[-1] <= now - self.window]
        for client in old:
            del self.admitted[client]
        self.sweep_at = now + self.window

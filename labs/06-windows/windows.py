import time
from collections import deque


class SlidingWindow:
    """Admits at most `limit` requests of each client in any `window` seconds."""

    def __init__(self, limit, window, clock=time.monotonic):
        """`window`: its length in seconds. `clock()` returns seconds, and never goes back."""
        self.limit = limit
        self.window = window
        self.clock = clock
        raise NotImplementedError  # your code here

    def allow(self, client=""):
        """Return whether a request of this client may go on now."""
        raise NotImplementedError  # your code here

"""Remembers the last results, as many as matter, and looks whether they agree."""

from collections import deque


class Watch:
    def __init__(self, rise=2, fall=3, up=True, interval=1.0, timeout=0.5):
        if min(rise, fall) < 1:
            raise ValueError("rise and fall: at least 1")
        if timeout > interval or timeout <= 0:
            raise ValueError("timeout: above 0 and at most interval")
        self.needed = {True: fall, False: rise}
        self.up = up
        self.seen = None
        self.last = deque(maxlen=max(rise, fall))

    def result(self, number, ok):
        if self.seen is not None and number <= self.seen:
            return None
        self.seen = number
        self.last.append(ok)
        needed = self.needed[self.up]
        recent = list(self.last)[-needed:]
        if len(recent) == needed and all(each != self.up for each in recent):
            self.up = not self.up
            self.last.clear()
            return {True: "up", False: "down"}[self.up]
        return None

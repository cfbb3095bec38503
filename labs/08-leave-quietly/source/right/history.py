"""Keeps all that it was told, and reads it from the beginning whenever it is asked."""

from collections import Counter


class Drain:
    def __init__(self, timeout):
        if not timeout > 0:
            raise ValueError("timeout: above 0")
        self.timeout = timeout
        self.told = []

    def opened(self, connection):
        self.told.append(("opened", connection))

    def closed(self, connection):
        self.told.append(("closed", connection))

    def begun(self, connection):
        self.told.append(("begun", connection))

    def ended(self, connection):
        self.told.append(("ended", connection))

    def start(self, now):
        self.told.append(("start", now))

    def all_of(self, event):
        return [what for kind, what in self.told if kind == event]

    def open(self):
        closed = set(self.all_of("closed"))
        return [each for each in self.all_of("opened") if each not in closed]

    def accepts(self):
        return not self.all_of("start")

    def says_close(self):
        return not self.accepts()

    def over(self, now):
        return now >= self.all_of("start")[0] + self.timeout

    def to_close(self, now):
        if self.accepts():
            return ()
        busy = Counter(self.all_of("begun")) - Counter(self.all_of("ended"))
        return tuple(each for each in self.open() if self.over(now) or each not in busy)

    def may_stop(self, now):
        return self.says_close() and (self.over(now) or not self.open())

"""fails: a-success-forgives-failures

Adds up failures of a whole day.
"""


class Watch:
    def __init__(self, rise=2, fall=3, up=True, interval=1.0, timeout=0.5):
        if rise < 1 or fall < 1:
            raise ValueError("rise and fall: use 1 or more")
        if not 0 < timeout <= interval:
            raise ValueError("timeout: use more than 0, and at most the interval")
        self.rise, self.fall, self.up = rise, fall, up
        self.good = self.bad = 0
        self.latest = -1

    def result(self, number, ok):
        if number <= self.latest:
            return None
        self.latest = number
        if ok:
            self.good, self.bad = self.good + 1, self.bad
        else:
            self.good, self.bad = 0, self.bad + 1
        if self.up and self.bad >= self.fall:
            self.up = False
            return "down"
        if not self.up and self.good >= self.rise:
            self.up, self.bad = True, 0
            return "up"
        return None

"""A small object for each backend, with a state by name."""


class One:
    def __init__(self):
        self.state, self.count, self.until, self.since = "closed", 0, 0.0, float("-inf")


class Breakers:
    def __init__(self, failures=5, open_for=2.0):
        self.failures, self.open_for, self.all = failures, open_for, {}

    def of(self, backend):
        return self.all.setdefault(backend, One())

    def allows(self, backend, now):
        one = self.of(backend)
        return one.state == "closed" or (one.state == "open" and now >= one.until)

    def started(self, backend, now):
        one = self.of(backend)
        if one.state == "open":
            one.state, one.since = "trying", now

    def ended(self, backend, started, ok, now):
        one = self.of(backend)
        if one.state == "open" or started < one.since:
            return
        if ok:
            one.state, one.count = "closed", 0
            return
        one.count += 1
        if one.state == "trying" or one.count >= self.failures:
            one.state, one.until, one.since = "open", now + self.open_for, now


class Shedder:
    """Counts in tenths of the window."""

    def __init__(self, window=5.0, aim=0.95, most=0.9):
        self.width, self.aim, self.most = window / 10, aim, most
        self.counts = {}  # number of a tenth -> [all, good]

    def share(self, now):
        first = int(now / self.width) - 9
        self.counts = {number: pair for number, pair in self.counts.items() if number >= first}
        count, good = (sum(pair[i] for pair in self.counts.values()) for i in (0, 1))
        return max(0.0, min(self.most, (count - good / self.aim) / (count + 1)))

    def ended(self, ok, now):
        pair = self.counts.setdefault(int(now / self.width), [0, 0])
        pair[0] += 1
        pair[1] += ok

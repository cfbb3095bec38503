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

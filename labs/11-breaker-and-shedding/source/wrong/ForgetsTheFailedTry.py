"""fails: a-failed-try-opens-it-again

After a failed try it waits for its outcome for ever.
"""

class Breakers:
    def __init__(self, failures=5, open_for=2.0):
        self.failures = failures
        self.open_for = open_for
        self.row = {}  # backend -> failures in a row
        self.opened = {}  # backend -> when its breaker opened
        self.probe = {}  # backend -> when the request left that tries, while there is one

    def allows(self, backend, now):
        if backend not in self.opened:
            return True
        return now >= self.opened[backend] + self.open_for and backend not in self.probe

    def started(self, backend, now):
        if backend in self.opened:
            self.probe[backend] = now

    def ended(self, backend, started, ok, now):
        if backend in self.opened:
            if self.probe.get(backend) != started:
                return  # it was sent before the breaker opened
            if ok:
                del self.probe[backend]
                del self.opened[backend]
                self.row[backend] = 0
            else:
                self.opened[backend] = now
            return
        self.row[backend] = 0 if ok else self.row.get(backend, 0) + 1
        if self.row[backend] >= self.failures:
            self.opened[backend] = now

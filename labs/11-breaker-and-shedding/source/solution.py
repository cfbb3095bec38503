class Breakers:
    """A circuit breaker for each backend. One object serves all requests of a balancer."""

    def __init__(self, failures=5, open_for=2.0):
        """`failures`: the number in a row that opens a breaker. `open_for`: seconds until it lets one request try."""
        self.failures = failures
        self.open_for = open_for
        ### BEGIN SOLUTION
        self.row = {}  # backend -> failures in a row
        self.opened = {}  # backend -> when its breaker opened
        self.probe = {}  # backend -> when the request that tries was sent, while there is one
        ### END SOLUTION

    def allows(self, backend, now):
        """Return whether a request may go to this backend now. It only looks, and may be called at any time."""
        ### BEGIN SOLUTION
        if backend not in self.opened:
            return True
        return now >= self.opened[backend] + self.open_for and backend not in self.probe
        ### END SOLUTION

    def started(self, backend, now):
        """A request has been sent to this backend; `allows` has just said that it may."""
        ### BEGIN SOLUTION
        if backend in self.opened:
            self.probe[backend] = now
        ### END SOLUTION

    def ended(self, backend, started, ok, now):
        """A request to this backend, sent at second `started`, has ended. `ok`: True or False."""
        ### BEGIN SOLUTION
        if backend in self.opened:
            if self.probe.get(backend) != started:
                return  # it was sent before the breaker opened
            del self.probe[backend]
            if ok:
                del self.opened[backend]
                self.row[backend] = 0
            else:
                self.opened[backend] = now
            return
        self.row[backend] = 0 if ok else self.row.get(backend, 0) + 1
        if self.row[backend] >= self.failures:
            self.opened[backend] = now
        ### END SOLUTION


# %%

from collections import deque


class Shedder:
    """Rejects a share of all requests while many of those that it lets through fail."""

    def __init__(self, window=5.0, aim=0.95, most=0.9):
        """`window`: seconds for which an outcome counts. `aim`: with this share of successes all is well."""
        self.window = window
        self.aim = aim
        self.most = most  # the largest share that is rejected
        ### BEGIN SOLUTION
        self.outcomes = deque()  # (second, True or False)
        ### END SOLUTION

    def share(self, now):
        """Return the share of requests to reject now, from 0 to `most`."""
        ### BEGIN SOLUTION
        while self.outcomes and self.outcomes[0][0] <= now - self.window:
            self.outcomes.popleft()
        count = len(self.outcomes)
        good = sum(ok for _, ok in self.outcomes)
        return min(self.most, max(0.0, (count - good / self.aim) / (count + 1)))
        ### END SOLUTION

    def ended(self, ok, now):
        """A request that was let through has ended. `ok`: True or False."""
        ### BEGIN SOLUTION
        self.outcomes.append((now, ok))
        ### END SOLUTION

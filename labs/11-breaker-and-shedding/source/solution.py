class Breakers:
    """A circuit breaker for each backend. One object serves all requests of a balancer."""

    def __init__(self, failures=5, open_for=2.0):
        """`failures`: so many in a row open a breaker. `open_for`: seconds until it lets one request try."""
        self.failures = failures
        self.open_for = open_for
        ### BEGIN SOLUTION
        self.row = {}  # backend -> failures in a row
        self.opened = {}  # backend -> when its breaker opened
        self.probe = {}  # backend -> when the request left that tries, while there is one
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

class Breakers:
    """A circuit breaker for each backend. One object serves all requests of a balancer."""

    def __init__(self, failures=5, open_for=2.0):
        """`failures`: the number in a row that opens a breaker. `open_for`: seconds until it lets one request try."""
        self.failures = failures
        self.open_for = open_for
        raise NotImplementedError  # your code here

    def allows(self, backend, now):
        """Return whether a request may go to this backend now. It only looks, and may be called at any time."""
        raise NotImplementedError  # your code here

    def started(self, backend, now):
        """A request has been sent to this backend; `allows` has just said that it may."""
        raise NotImplementedError  # your code here

    def ended(self, backend, started, ok, now):
        """A request to this backend, sent at second `started`, has ended. `ok`: True or False."""
        raise NotImplementedError  # your code here


from collections import deque


class Shedder:
    """Rejects a share of all requests while many of those that it lets through fail."""

    def __init__(self, window=5.0, aim=0.95, most=0.9):
        """`window`: seconds for which an outcome counts. `aim`: with this share of successes all is well."""
        self.window = window
        self.aim = aim
        self.most = most  # the largest share that is rejected
        raise NotImplementedError  # your code here

    def share(self, now):
        """Return the share of requests to reject now, from 0 to `most`."""
        raise NotImplementedError  # your code here

    def ended(self, ok, now):
        """A request that was let through has ended. `ok`: True or False."""
        raise NotImplementedError  # your code here

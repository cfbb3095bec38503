class Breakers:
    """A circuit breaker for each backend. One object serves all requests of a balancer."""

    def __init__(self, failures=5, open_for=2.0):
        """`failures`: so many in a row open a breaker. `open_for`: seconds until it lets one request try."""
        self.failures = failures
        self.open_for = open_for
        # YOUR CODE HERE
        raise NotImplementedError()

    def allows(self, backend, now):
        """Return whether a request may go to this backend now. It only looks, and may be called at any time."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def started(self, backend, now):
        """A request has been sent to this backend; `allows` has just said that it may."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def ended(self, backend, started, ok, now):
        """A request to this backend, sent at second `started`, has ended. `ok`: True or False."""
        # YOUR CODE HERE
        raise NotImplementedError()

from lbkit import Balancer


class FewestRunning(Balancer):
    """The server with the fewest requests that are still running; equal ones by turns."""

    def __init__(self):
        self.running = {}  # how many requests each backend has; change this as you like

    def pick(self, backends, key, now):
        """Return one of `backends`. The request runs there from now on."""
        raise NotImplementedError  # your code here

    def done(self, backend, latency, ok, now):
        """A request at `backend` has ended. `ok` is True, False, or None if the client went away."""
        raise NotImplementedError  # your code here

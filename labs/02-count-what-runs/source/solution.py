from lbkit import Balancer


class FewestRunning(Balancer):
    """The server with the fewest requests that are still running; equal ones by turns."""

    def __init__(self):
        self.running = {}  # how many requests each backend has; change this as you like

    def pick(self, backends, key, now):
        """Return one of `backends`. The request runs there from now on."""
        ### BEGIN SOLUTION
        fewest = min(self.running.get(backend, 0) for backend in backends)
        equal = [backend for backend in backends if self.running.get(backend, 0) == fewest]
        chosen = self.rng.choice(equal)
        self.running[chosen] = fewest + 1
        return chosen
        ### END SOLUTION

    def done(self, backend, latency, ok, now):
        """A request at `backend` has ended. `ok` is True, False, or None if the client went away."""
        ### BEGIN SOLUTION
        self.running[backend] = max(0, self.running.get(backend, 0) - 1)
        ### END SOLUTION

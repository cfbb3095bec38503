class Drain:
    """Decides how a server leaves. It is told what happens, and is asked what to do; it does nothing itself."""

    def __init__(self, timeout):
        """`timeout`: seconds from the order to leave until the server stops, whatever still runs.

        Raises ValueError unless it is above 0."""
        ### BEGIN SOLUTION
        if not timeout > 0:
            raise ValueError(f"timeout is {timeout}: use seconds above 0")
        self.timeout = timeout
        self.deadline = None  # in seconds; None until the drain begins
        self.running = {}  # how many requests run on each open connection
        ### END SOLUTION

    def opened(self, connection):
        """A client has connected. `connection` is anything that can be a key of a dictionary."""
        ### BEGIN SOLUTION
        self.running[connection] = 0
        ### END SOLUTION

    def closed(self, connection):
        """A connection has been closed by either side. If requests ran on it, they are lost."""
        ### BEGIN SOLUTION
        self.running.pop(connection, None)
        ### END SOLUTION

    def begun(self, connection):
        """A request has begun on a connection. With HTTP/2, several may run there; a WebSocket is one, too."""
        ### BEGIN SOLUTION
        self.running[connection] += 1
        ### END SOLUTION

    def ended(self, connection):
        """A request has been answered. This may come after `closed`, if the client did not wait."""
        ### BEGIN SOLUTION
        if connection in self.running:
            self.running[connection] -= 1
        ### END SOLUTION

    def start(self, now):
        """The order to leave, at the time `now`, in seconds. If it is given again, that changes nothing."""
        ### BEGIN SOLUTION
        if self.deadline is None:
            self.deadline = now + self.timeout
        ### END SOLUTION

    def accepts(self):
        """Return whether a new request may begin."""
        ### BEGIN SOLUTION
        return self.deadline is None
        ### END SOLUTION

    def says_close(self):
        """Return whether an answer that is sent now has to say `Connection: close`."""
        ### BEGIN SOLUTION
        return self.deadline is not None
        ### END SOLUTION

    def to_close(self, now):
        """Return a list of the open connections that the server has to close now."""
        ### BEGIN SOLUTION
        if self.deadline is None:
            return []
        over = now >= self.deadline
        return [connection for connection, requests in self.running.items() if over or not requests]
        ### END SOLUTION

    def may_stop(self, now):
        """Return whether the process may end now."""
        ### BEGIN SOLUTION
        if self.deadline is None:
            return False
        return not self.running or now >= self.deadline
        ### END SOLUTION

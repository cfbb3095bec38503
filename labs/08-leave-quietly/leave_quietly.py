class Drain:
    """Decides how a server leaves. It is told what happens, and is asked what to do; it does nothing itself."""

    def __init__(self, timeout):
        """`timeout`: seconds from the order to leave until the server stops, whatever still runs.

        Raises ValueError unless it is above 0."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def opened(self, connection):
        """A client has connected. `connection` is anything that can be a key of a dictionary."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def closed(self, connection):
        """A connection has been closed by either side. If requests ran on it, they are lost."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def begun(self, connection):
        """A request has begun on a connection. With HTTP/2, several may run there; a WebSocket is one, too."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def ended(self, connection):
        """A request has been answered. This may come after `closed`, if the client did not wait."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def start(self, now):
        """The order to leave, at the time `now`, in seconds. If it is given again, that changes nothing."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def accepts(self):
        """Return whether a new request may begin."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def says_close(self):
        """Return whether an answer that is sent now has to say `Connection: close`."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def to_close(self, now):
        """Return a list of the open connections that the server has to close now."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def may_stop(self, now):
        """Return whether the process may end now."""
        # YOUR CODE HERE
        raise NotImplementedError()

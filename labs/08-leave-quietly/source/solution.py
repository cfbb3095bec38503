class Connections:
    """What the server tells: which connections are open, and on which of them requests run."""

    def __init__(self):
        ### BEGIN SOLUTION
        self.running = {}  # how many requests run on each open connection
        ### END SOLUTION

    def opened(self, connection):
        ### BEGIN SOLUTION
        self.running[connection] = 0
        ### END SOLUTION

    def closed(self, connection):
        ### BEGIN SOLUTION
        self.running.pop(connection, None)
        ### END SOLUTION

    def begun(self, connection):
        ### BEGIN SOLUTION
        self.running[connection] += 1
        ### END SOLUTION

    def ended(self, connection):
        ### BEGIN SOLUTION
        if connection in self.running:
            self.running[connection] -= 1
        ### END SOLUTION


# %%


class Drain(Connections):
    """What the server asks, and the order to leave. It only decides: it does nothing itself."""

    def __init__(self, timeout):
        ### BEGIN SOLUTION
        super().__init__()
        if not timeout > 0:
            raise ValueError(f"timeout is {timeout}: use seconds above 0")
        self.timeout = timeout
        self.deadline = None  # in seconds; None until the drain begins
        ### END SOLUTION

    def start(self, now):
        ### BEGIN SOLUTION
        if self.deadline is None:
            self.deadline = now + self.timeout
        ### END SOLUTION

    def accepts(self):
        ### BEGIN SOLUTION
        return self.deadline is None
        ### END SOLUTION

    def says_close(self):
        ### BEGIN SOLUTION
        return self.deadline is not None
        ### END SOLUTION

    def to_close(self, now):
        ### BEGIN SOLUTION
        if self.deadline is None:
            return []
        over = now >= self.deadline
        return [connection for connection, requests in self.running.items() if over or not requests]
        ### END SOLUTION

    def may_stop(self, now):
        ### BEGIN SOLUTION
        if self.deadline is None:
            return False
        return not self.running or now >= self.deadline
        ### END SOLUTION

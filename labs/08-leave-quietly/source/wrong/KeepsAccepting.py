"""fails: nothing-new-begins

Lets new requests begin while it drains.
"""


class Drain:
    def __init__(self, timeout):
        if not timeout > 0:
            raise ValueError(f"timeout is {timeout}: use seconds above 0")
        self.timeout = timeout
        self.deadline = None  # in seconds; None until the drain begins
        self.running = {}  # how many requests run on each open connection

    def opened(self, connection):
        self.running[connection] = 0

    def closed(self, connection):
        self.running.pop(connection, None)

    def begun(self, connection):
        self.running[connection] += 1

    def ended(self, connection):
        if connection in self.running:
            self.running[connection] -= 1

    def start(self, now):
        if self.deadline is None:
            self.deadline = now + self.timeout

    def accepts(self):
        return True

    def says_close(self):
        return self.deadline is not None

    def to_close(self, now):
        if self.deadline is None:
            return []
        over = now >= self.deadline
        return [connection for connection, requests in self.running.items() if over or not requests]

    def may_stop(self, now):
        if self.deadline is None:
            return False
        return not self.running or now >= self.deadline

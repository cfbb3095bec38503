"""fails: the-limit-is-kept

Takes the time 0 for no time.
"""


class Drain:
    def __init__(self, timeout):
        if not timeout > 0:
            raise ValueError(f"timeout is {timeout}: use seconds above 0")
        self.timeout = timeout
        self.begun_at = None  # in seconds; None until the drain begins
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
        if not self.begun_at:
            self.begun_at = now

    def accepts(self):
        return not self.begun_at

    def says_close(self):
        return bool(self.begun_at)

    def to_close(self, now):
        if not self.begun_at:
            return []
        over = now - self.begun_at >= self.timeout
        return [connection for connection, requests in self.running.items() if over or not requests]

    def may_stop(self, now):
        if not self.begun_at:
            return False
        return not self.running or now - self.begun_at >= self.timeout

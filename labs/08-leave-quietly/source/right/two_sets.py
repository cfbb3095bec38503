"""A state with a name, a set of idle connections, and a list with an entry for each running request."""


class Drain:
    def __init__(self, timeout):
        if timeout > 0:
            self.timeout = timeout
        else:
            raise ValueError("timeout: above 0")
        self.state = "serving"
        self.began = 0.0
        self.idle, self.requests = set(), []

    def opened(self, connection):
        self.idle.add(connection)

    def closed(self, connection):
        self.idle.discard(connection)
        self.requests = [each for each in self.requests if each != connection]

    def begun(self, connection):
        self.idle.discard(connection)
        self.requests.append(connection)

    def ended(self, connection):
        if connection in self.requests:
            self.requests.remove(connection)
            if connection not in self.requests:
                self.idle.add(connection)

    def start(self, now):
        if self.state == "serving":
            self.state, self.began = "draining", now

    def accepts(self):
        return self.state == "serving"

    def says_close(self):
        return self.state == "draining"

    def late(self, now):
        return self.says_close() and now - self.began >= self.timeout

    def to_close(self, now):
        if self.late(now):
            return self.idle | set(self.requests)
        return set(self.idle) if self.says_close() else set()

    def may_stop(self, now):
        done = self.says_close() and not self.idle and not self.requests
        return done or self.late(now)

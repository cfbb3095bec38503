class Connections:
    """What the server tells: which connections are open, and on which of them requests run."""

    def __init__(self):
        raise NotImplementedError  # your code here

    def opened(self, connection):
        raise NotImplementedError  # your code here

    def closed(self, connection):
        raise NotImplementedError  # your code here

    def begun(self, connection):
        raise NotImplementedError  # your code here

    def ended(self, connection):
        raise NotImplementedError  # your code here


class Drain(Connections):
    """What the server asks, and the order to leave. It only decides: it does nothing itself."""

    def __init__(self, timeout):
        raise NotImplementedError  # your code here

    def start(self, now):
        raise NotImplementedError  # your code here

    def accepts(self):
        raise NotImplementedError  # your code here

    def says_close(self):
        raise NotImplementedError  # your code here

    def to_close(self, now):
        raise NotImplementedError  # your code here

    def may_stop(self, now):
        raise NotImplementedError  # your code here

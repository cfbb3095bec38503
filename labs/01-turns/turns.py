from lbkit import Balancer


class Turns(Balancer):
    """Turns in proportion to weight, spread out evenly."""

    def __init__(self):
        self.credit = {}  # of each backend; keep here whatever you need from one pick to the next

    def pick(self, backends, key, now):
        """Return one of `backends`. Each has a `weight`: 1.0, 5.0, or 0.5."""
        raise NotImplementedError  # your code here

import random


class RetryRule:
    """Decides what follows a failed attempt. One object serves all requests of a balancer."""

    def __init__(self, ratio=0.2, burst=10, base=0.05, cap=1.0, rng=random):
        """`ratio`: retries for each request in the long run. `burst`: the most retries that can be saved up."""
        self.ratio, self.burst = ratio, burst
        self.base, self.cap = base, cap  # seconds: the longest pause before the first retry, and before any
        self.rng = rng
        self.tokens = burst

    def began(self):
        """Called once for each new request, before its first attempt: it adds `ratio` tokens."""
        raise NotImplementedError  # your code here

    def after(self, failed):
        """Return (server, pause): where the request goes next, in how many seconds; or None to give up."""
        raise NotImplementedError  # your code here

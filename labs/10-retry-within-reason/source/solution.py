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
        ### BEGIN SOLUTION
        self.tokens = min(self.burst, self.tokens + self.ratio)
        ### END SOLUTION

    def after(self, failed):
        """Return (server, pause): where the request goes next, in how many seconds; or None to give up."""
        ### BEGIN SOLUTION
        if failed.sent and failed.method not in ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"):
            return None
        others = [server for server in failed.servers if server not in failed.tried]
        if not others or self.tokens < 1 - 1e-9:  # sums of floats miss by their last digits
            return None
        longest = min(self.cap, self.base * 2 ** (len(failed.tried) - 1))
        pause = self.rng.uniform(0, longest)
        if failed.now + pause >= failed.deadline:
            return None
        self.tokens -= 1
        return self.rng.choice(others), pause
        ### END SOLUTION

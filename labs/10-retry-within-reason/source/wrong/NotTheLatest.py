"""fails: another-server-each-time

Leaves out the latest server only, so two dead ones get the request in turns.
"""

import random


class RetryRule:
    def __init__(self, ratio=0.2, burst=10, base=0.05, cap=1.0, rng=random):
        self.ratio = ratio
        self.burst = burst
        self.base = base
        self.cap = cap
        self.rng = rng
        self.tokens = burst

    def began(self):
        self.tokens = min(self.burst, self.tokens + self.ratio)

    def after(self, failed):
        if failed.sent and failed.method not in ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"):
            return None
        others = [server for server in failed.servers if server != failed.tried[-1]]
        if not others or self.tokens < 1 - 1e-9:  # sums of floats miss by their last digits
            return None
        longest = min(self.cap, self.base * 2 ** (len(failed.tried) - 1))
        pause = self.rng.uniform(0, longest)
        if failed.now + pause >= failed.deadline:
            return None
        self.tokens -= 1
        return self.rng.choice(others), pause

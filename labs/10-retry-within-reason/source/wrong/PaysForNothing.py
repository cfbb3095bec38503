"""fails: giving-up-costs-nothing

Takes the token before it knows whether there will be a retry.
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
        if self.tokens < 1 - 1e-9:
            return None
        self.tokens -= 1
        if failed.sent and failed.method not in ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"):
            return None
        others = [server for server in failed.servers if server not in failed.tried]
        if not others:
            return None
        longest = min(self.cap, self.base * 2 ** (len(failed.tried) - 1))
        pause = self.rng.uniform(0, longest)
        if failed.now + pause >= failed.deadline:
            return None
        return self.rng.choice(others), pause

"""Counts in thousandths of a token, so that nothing is lost in sums; doubles the pause in a loop; sends it to the least used."""

import random
from collections import Counter


class RetryRule:
    def __init__(self, ratio=0.2, burst=10, base=0.05, cap=1.0, rng=random):
        self.step, self.most = round(ratio * 1000), round(burst * 1000)
        self.base, self.cap, self.rng = base, cap, rng
        self.level, self.used = self.most, Counter()

    def began(self):
        self.level += self.step
        if self.level > self.most:
            self.level = self.most

    def after(self, failed):
        match failed.method:
            case "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE":
                pass
            case _ if failed.sent:
                return None
        longest = self.base
        for _ in failed.tried[1:]:
            longest = min(self.cap, 2 * longest)
        pause = min(longest, self.cap) * (1.0 - self.rng.random())
        left = [name for name in failed.servers if name not in failed.tried]
        if self.level < 1000 or not left or failed.now + pause >= failed.deadline:
            return None
        self.level -= 1000
        chosen = min(left, key=lambda name: self.used[name])
        self.used[chosen] += 1
        return chosen, pause

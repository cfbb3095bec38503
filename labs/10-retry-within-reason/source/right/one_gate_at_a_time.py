"""A small method for each question; counts retries and what is earned instead of tokens; takes turns among the others."""

import random

ONCE_IS_TWICE = frozenset("GET HEAD OPTIONS TRACE PUT DELETE".split())


class RetryRule:
    def __init__(self, ratio=0.2, burst=10, base=0.05, cap=1.0, rng=random):
        self.ratio, self.burst, self.base, self.cap, self.rng = ratio, burst, base, cap, rng
        self.spent, self.turn = 0.0, 0

    def began(self):
        self.spent = max(0.0, self.spent - self.ratio)

    def harmless(self, failed):
        return not failed.sent or failed.method in ONCE_IS_TWICE

    def affordable(self):
        return self.spent + 1 <= self.burst + 1e-9

    def pause(self, failed):
        return self.rng.random() * min(self.base * 2.0 ** (len(failed.tried) - 1), self.cap)

    def after(self, failed):
        others = sorted(set(failed.servers) - set(failed.tried))
        if not (others and self.harmless(failed) and self.affordable()):
            return None
        pause = self.pause(failed)
        if failed.deadline - failed.now <= pause:
            return None
        self.spent += 1
        self.turn += 1
        return others[self.turn % len(others)], pause

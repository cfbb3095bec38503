"""fails: weights-may-be-fractions

Rounds weights to whole numbers, as a schedule with `weight` entries for each server does.
"""

from lbkit import Balancer


class Turns(Balancer):
    def __init__(self):
        self.credit = {}

    def pick(self, backends, key, now):
        weights = {b: max(1, int(b.weight)) for b in backends}
        for b in backends:
            self.credit[b] = self.credit.get(b, 0) + weights[b]
        chosen = max(backends, key=self.credit.get)
        self.credit[chosen] -= sum(weights.values())
        return chosen

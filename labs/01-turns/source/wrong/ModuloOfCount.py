"""fails: a-newcomer-gets-its-turn

A count of all requests, modulo the length of a schedule that follows the weights.
"""

from lbkit import Balancer


class Turns(Balancer):
    def __init__(self):
        self.count = 0

    def pick(self, backends, key, now):
        least = min(b.weight for b in backends)
        credit = dict.fromkeys(backends, 0.0)
        total = sum(credit_of.weight for credit_of in backends)
        chosen = backends[0]
        for _ in range(self.count % round(total / least) + 1):
            for b in backends:
                credit[b] += b.weight
            chosen = max(backends, key=credit.get)
            credit[chosen] -= total
        self.count += 1
        return chosen

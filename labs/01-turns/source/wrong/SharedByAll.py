"""fails: two-balancers-share-nothing

The credit is in the class body, so all balancers of the process share it.
"""

from lbkit import Balancer


class Turns(Balancer):
    credit = {}

    def pick(self, backends, key, now):
        names = {b.name: b for b in backends}
        for b in backends:
            self.credit[b.name] = self.credit.get(b.name, 0.0) + b.weight
        chosen = max(names, key=self.credit.get)
        self.credit[chosen] -= sum(b.weight for b in backends)
        return names[chosen]

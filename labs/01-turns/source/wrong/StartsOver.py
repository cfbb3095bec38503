"""fails: a-newcomer-gets-its-turn, changes-do-not-start-it-over

Makes its schedule anew, and begins it again, whenever the pool changes.
"""

from lbkit import Balancer


class Turns(Balancer):
    def rebuild(self, backends):
        self.credit = dict.fromkeys(backends, 0.0)

    def pick(self, backends, key, now):
        for b in backends:
            self.credit[b] += b.weight
        chosen = max(backends, key=self.credit.get)
        self.credit[chosen] -= sum(b.weight for b in backends)
        return chosen

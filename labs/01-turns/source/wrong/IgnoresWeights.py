"""fails: counts-follow-weights, turns-are-spread-out, weights-may-be-fractions

Plain round robin, one index after the other.
"""

from lbkit import Balancer


class Turns(Balancer):
    def __init__(self):
        self.turn = -1

    def pick(self, backends, key, now):
        self.turn = (self.turn + 1) % len(backends)
        return backends[self.turn]

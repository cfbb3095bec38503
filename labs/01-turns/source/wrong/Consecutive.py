"""fails: turns-are-spread-out

All turns of a server in a row: a a a a a b c.
"""

from lbkit import Balancer


class Turns(Balancer):
    def __init__(self):
        self.left = {}

    def pick(self, backends, key, now):
        while True:
            for backend in backends:
                if self.left.get(backend, 0.0) > 1e-9:
                    self.left[backend] -= 1.0
                    return backend
            for backend in backends:
                self.left[backend] = self.left.get(backend, 0.0) + backend.weight

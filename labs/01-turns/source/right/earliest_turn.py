"""Each server has the time of its next turn: 1 / weight after the last one. The earliest is next."""

from lbkit import Balancer


class Turns(Balancer):
    def __init__(self):
        self.due = {}
        self.time = 0.0

    def pick(self, backends, key, now):
        for backend in backends:
            # Half a turn in, so that the turns of a heavy server lie around those of a light one.
            self.due.setdefault(backend, self.time + 0.5 / backend.weight)
            # One that was away does not catch up.
            self.due[backend] = max(self.due[backend], self.time)
        chosen = min(backends, key=lambda b: (self.due[b], b.name))
        self.time = self.due[chosen]
        self.due[chosen] += 1 / chosen.weight
        return chosen

"""A closed loop in virtual time: each user waits for an answer, thinks, and sends the next request."""

from __future__ import annotations

from lbkit.arrivals import Closed
from lbkit.experiment import Experiment
from lbkit.sim.engine import Engine
from lbkit.sim.kinds import ASK
from lbkit.sim.requests import Requests
from lbkit.workload import Clients, stream

# Seconds until a user sends the next request, at least, when the answer took no time at all: a user without a
# pause would send requests for ever at the same moment to a server that refuses them at once.
TURNAROUND = 0.01


class Users:
    """Plans the ASK of each user, and draws the request that is sent then. Users are all alike."""

    def __init__(self, experiment: Experiment, crowd: Closed, engine: Engine, requests: Requests) -> None:
        self.engine = engine
        self.requests = requests
        self.duration = experiment.traffic.duration
        self.rate = 1 / crowd.think if crowd.think else 0.0  # a second; 0: without a pause
        self.rng = stream(experiment.seed, "think")
        self.clients = Clients(experiment)
        for _ in range(crowd.users):
            self._think(0.0)

    def answered(self, row: int) -> None:
        """A user has the answer to request `row`, thinks, and sends the next."""
        now = self.engine.now
        self._think(0.0 if now > self.requests.arrival[row] else TURNAROUND)

    def _think(self, least: float) -> None:
        """Plan the next request after a pause of `least` seconds or more."""
        pause = self.rng.expovariate(self.rate) if self.rate else 0.0
        self.engine.plan(self.engine.now + max(pause, least), ASK)

    def ask(self) -> int | None:
        """The row of a user's next request; None when the time is up."""
        now = self.engine.now
        return self.requests.add(now, *self.clients.one()) if now < self.duration else None

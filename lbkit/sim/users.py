"""A closed loop in virtual time: each user waits for an answer, thinks, and sends the next request."""

from __future__ import annotations

from lbkit.arrivals import Closed
from lbkit.experiment import Experiment
from lbkit.sim.engine import Engine
from lbkit.sim.kinds import SEND
from lbkit.sim.requests import Requests
from lbkit.workload import Clients, stream

# Seconds until a user sends the next request, at least, when the answer took no time at all: a user without a
# pause would send requests for ever at the same moment to a server that refuses them at once.
TURNAROUND = 0.01


class Users:
    """Plans the SEND of each user, and draws the request that it sends. Users are all alike."""

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
        """Have the user that got the answer to request `row` think, and then send the next one."""
        now = self.engine.now
        self._think(0.0 if now > self.requests.arrival[row] else TURNAROUND)

    def _think(self, least: float) -> None:
        """Plan the next request after a pause of `least` seconds or more."""
        pause = self.rng.expovariate(self.rate) if self.rate else 0.0
        self.engine.plan(self.engine.now + max(pause, least), SEND)

    def request(self) -> int | None:
        """Return the row of a user's next request; None after the end of the traffic."""
        now = self.engine.now
        return self.requests.add(now, *self.clients.one()) if now < self.duration else None

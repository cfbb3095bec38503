"""A closed loop in virtual time: each user waits for an answer, thinks, and sends the next request."""

from __future__ import annotations

from lbkit.arrivals import Closed
from lbkit.experiment import Experiment
from lbkit.sim.engine import Engine
from lbkit.sim.kinds import ASK
from lbkit.sim.requests import Requests
from lbkit.workload import Clients, stream


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
            self.think()

    def think(self) -> None:
        """A user thinks, then asks."""
        pause = self.rng.expovariate(self.rate) if self.rate else 0.0
        self.engine.plan(self.engine.now + pause, ASK)

    def ask(self) -> int | None:
        """The row of a user's next request; None when the time is up."""
        now = self.engine.now
        return self.requests.add(now, *self.clients.one()) if now < self.duration else None

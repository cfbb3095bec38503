"""Clients that wait for answers, in virtual time: the users of a closed loop, and sessions."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from mypy_extensions import mypyc_attr

from lbkit.arrivals import Closed
from lbkit.core.vectors import column_of
from lbkit.draws import stream
from lbkit.experiment import Experiment
from lbkit.sim.engine import Engine
from lbkit.sim.kinds import SEND
from lbkit.sim.requests import Requests
from lbkit.workload import Clients, Visits

# The least seconds between a user's requests if the answer took no time: without it, a user without think
# time would send requests to a server that rejects them at once forever, at the same moment.
TURNAROUND = 0.01


@mypyc_attr(allow_interpreted_subclasses=True)
class Users:
    """Plans the SEND event of each user, and draws its requests. All users are alike."""

    def __init__(self, experiment: Experiment, crowd: Closed, engine: Engine, requests: Requests) -> None:
        self.engine = engine
        self.requests = requests
        self.duration = experiment.traffic.duration
        self.rate = 1 / crowd.think if crowd.think else 0.0  # of pauses, a second; 0: no pauses
        self.rng = stream(experiment.seed, "think")
        self.clients = Clients(experiment)
        for _ in range(crowd.users):
            self._think(0.0)

    def answered(self, row: int) -> None:
        """Plan the next request of the user who got the answer to request `row`, after a pause."""
        now = self.engine.now
        self._think(0.0 if now > self.requests.arrival[row] else TURNAROUND)

    def _think(self, least: float) -> None:
        """Plan the next request after a pause of at least `least` seconds."""
        pause = self.rng.expovariate(self.rate) if self.rate else 0.0
        self.engine.plan(self.engine.now + max(pause, least), SEND)

    def request(self, _: int) -> int | None:
        """Return the row of a user's next request; None after the end of the traffic."""
        now = self.engine.now
        return self.requests.add(now, *self.clients.one()) if now < self.duration else None


@mypyc_attr(allow_interpreted_subclasses=True)
class Visitors:
    """Plans a SEND event for each request of each session; the event's row is the session's number."""

    def __init__(self, experiment: Experiment, engine: Engine, requests: Requests) -> None:
        self.engine = engine
        self.requests = requests
        self.duration = experiment.traffic.duration
        self.visits = Visits(experiment)
        self.session = requests.session = array("i")  # of each row
        # Session -> its next request, and those after it.
        self._next: dict[int, tuple[float, int, float, float]] = {}
        self._rest: dict[int, Iterator[tuple[float, int, float, float]]] = {}
        engine.feed(column_of(self.visits.began), SEND)

    def request(self, session: int) -> int | None:
        """Return the row of the next request of a session; None after the end of the traffic."""
        now = self.engine.now
        if now >= self.duration:
            return None
        if session not in self._rest:
            self._rest[session] = self.visits.requests(session)
            self._next[session] = next(self._rest[session])
        _, path, demand, luck = self._next.pop(session)
        self.session.append(session)
        return self.requests.add(now, self.visits.client[session], path, demand, luck)

    def answered(self, row: int) -> None:
        """Plan the next request of a session after the answer to request `row`, or end the session."""
        session = self.session[row]
        following = next(self._rest[session], None)
        if following is None:
            del self._rest[session]
        else:
            self._next[session] = following
            self.engine.plan(self.engine.now + following[0], SEND, session)

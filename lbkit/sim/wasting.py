"""Servers that work on what nobody waits for any more."""

from __future__ import annotations

from typing import Any

from lbkit.experiment import Experiment
from lbkit.patience import Wasted
from lbkit.sim import kinds
from lbkit.sim.engine import Handlers
from lbkit.sim.servers import OK
from lbkit.sim.simulation import Simulation


class WastingSimulation(Simulation):
    """A simulation in which connections to servers close before the answer; the work lost is noted."""

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        self.wasted: list[Wasted] = []
        super().__init__(experiment, max_events)

    def _handlers(self) -> Handlers:
        handlers = list(super()._handlers())
        handlers[kinds.ABORT] = self.abort
        return handlers

    def hang_up(self, row: int) -> None:
        """Close the connection on which a server has a request: some servers see it."""
        server = self.servers[self.requests.backend[row]]
        if server.spec.cancels:
            self.engine.plan(self.engine.now + server.delay, kinds.ABORT, row)

    def abort(self, row: int) -> None:
        """A server that watches its connections learns that one has been closed."""
        server = self.servers[self.requests.backend[row]]
        if server.chaos.hung:
            return  # it does not look
        start = self.requests.start[row]
        if server.drop(lambda other: other == row) and start == start:
            self.wasted.append(Wasted(server.spec.name, start, self.engine.now - start, False))

    def waste(self, row: int) -> None:
        """An answer arrives that nobody waits for."""
        requests = self.requests
        if requests.status[row] == OK:
            name = self.servers[requests.backend[row]].spec.name
            self.wasted.append(Wasted(name, requests.start[row], requests.service[row]))

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "wasted": self.wasted}

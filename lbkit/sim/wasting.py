"""Wasted work: servers that work on requests after their clients have left."""

from __future__ import annotations

from typing import Any

from mypy_extensions import mypyc_attr

from lbkit.experiment import Experiment
from lbkit.patience import Wasted
from lbkit.sim import kinds
from lbkit.sim.engine import Handlers
from lbkit.sim.servers import OK
from lbkit.sim.simulation import Simulation


@mypyc_attr(allow_interpreted_subclasses=True)
class WastingSimulation(Simulation):
    """A simulation in which connections to servers may close before the answer; records the wasted work."""

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        self.wasted: list[Wasted] = []
        super().__init__(experiment, max_events)

    def _handlers(self) -> Handlers:
        handlers = list(super()._handlers())
        handlers[kinds.ABORT] = self.abort
        return handlers

    def hang_up(self, row: int) -> None:
        """Close the connection of a request at a server; servers that watch connections notice it."""
        server = self.servers[self.requests.backend[row]]
        if server.spec.cancels:
            self.engine.plan(self.engine.now + server.delay_of(row), kinds.ABORT, row)

    def abort(self, row: int) -> None:
        """Stop work on a request after its connection has closed, if the server watches connections."""
        server = self.servers[self.requests.backend[row]]
        if server.chaos.hung:
            return  # a hung server notices nothing
        start = self.requests.start[row]
        if server.drop(lambda other: other == row) and start == start:
            self.wasted.append(Wasted(server.spec.name, start, self.engine.now - start, False))

    def waste(self, row: int) -> None:
        """Record the work of an answer that arrives after its connection has closed."""
        requests = self.requests
        if requests.status[row] == OK:
            name = self.servers[requests.backend[row]].spec.name
            self.wasted.append(Wasted(name, requests.start[row], requests.service[row]))

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "wasted": self.wasted}

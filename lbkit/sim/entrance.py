"""What stands before the balancer: rate limits, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lbkit.core.limit.several import tightest
from lbkit.edge import TOO_MANY, Rules
from lbkit.workload import client_name, path_name

if TYPE_CHECKING:
    from lbkit.sim.simulation import Simulation


@dataclass(slots=True)
class Asked:
    """A simulated request, as far as a rule may look at it; header fields it has none."""

    client: str
    target: bytes
    flow: str

    def field(self, name: bytes) -> bytes:
        return b""


class Entrance:
    """Requests come through here on their way to the balancer, where an experiment limits them."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.rules = Rules(simulation.experiment.limits)

    def arrives(self, row: int) -> None:
        """To the balancer, now or later, or away."""
        sim = self.simulation
        asked = Asked(client_name(sim.client[row]), path_name(sim.path[row]).encode(), f"tcp {row}")
        about = self.rules.about(asked)
        if not about:
            sim.dispatch(row)
            return
        now = sim.engine.now
        said = tightest(self.rules.decide(about, now))
        if not said.allowed:
            sim.turn_away(row, TOO_MANY)
        elif said.delay > 0:
            sim.engine.at(now + said.delay, sim.dispatch, row)
        else:
            sim.dispatch(row)

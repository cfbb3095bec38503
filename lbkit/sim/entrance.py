"""What stands before the balancer, in virtual time: rate limits, and the gate with its queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lbkit.core.gate import Refused
from lbkit.core.limit.several import tightest
from lbkit.core.shape import Item
from lbkit.edge import TOO_MANY, UNAVAILABLE, Admission, Rules
from lbkit.workload import client_name, path_name

if TYPE_CHECKING:
    from lbkit.sim.simulation import Simulation


@dataclass(slots=True)
class SimRequest:
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
        experiment = simulation.experiment
        self.rules = Rules(experiment.limits)
        self.gate = experiment.admission.gate() if experiment.admission else None
        self.read = (experiment.admission or Admission()).read()
        self.waiting: dict[int, Item] = {}  # row -> at the gate
        self.entered: dict[int, float] = {}  # row -> when it went through
        self.serving = False
        self.wakes = -1.0  # the moment for which it is planned to look again

    def arrives(self, row: int) -> None:
        """To the gate, now or later, or away."""
        sim = self.simulation
        about = self.rules.about(self.asked(row))
        if not about:
            self.enters(row)
            return
        now = sim.engine.now
        said = tightest(self.rules.decide(about, now))
        if not said.allowed:
            sim.turn_away(row, TOO_MANY)
        elif said.delay > 0:
            sim.engine.at(now + said.delay, self.enters, row)
        else:
            self.enters(row)

    def asked(self, row: int) -> SimRequest:
        sim = self.simulation
        return SimRequest(client_name(sim.client[row]), path_name(sim.path[row]).encode(), f"tcp {row}")

    # -- the gate ---------------------------------------------------------------------------

    def enters(self, row: int) -> None:
        """Through the gate to the balancer, or into its queue, or away."""
        sim, gate = self.simulation, self.gate
        if gate is None:
            sim.dispatch(row)
            return
        now = sim.engine.now
        self.waiting[row] = item = self.read(self.asked(row), row, now)
        if refused := gate.enter(item, now):
            self._refuse(refused)
        self._serve()
        if row in self.waiting:
            sim.engine.at(now + gate.timeout, self._late, row)

    def leaves(self, row: int, ok: bool) -> None:
        """It has its answer."""
        now = self.simulation.engine.now
        if self.gate and row in self.entered:
            self.gate.done(now, now - self.entered.pop(row), ok)
            self._serve()

    def _serve(self, _: None = None) -> None:
        """Let through whom there is a place for."""
        sim, gate = self.simulation, self.gate
        if self.serving or gate is None:
            return  # one that was let through is over already: the loop below goes on
        self.serving, now = True, sim.engine.now
        while found := gate.next(now):
            if isinstance(found, Refused):
                self._refuse(found)
            else:
                del self.waiting[found.what]
                self.entered[found.what] = now
                sim.dispatch(found.what)
        self.serving = False
        wake = gate.wake_at(now)
        if wake is not None and not now < self.wakes <= wake:
            self.wakes = wake
            sim.engine.at(wake, self._serve)

    def _late(self, row: int) -> None:
        if self.gate and row in self.waiting:
            self._refuse(self.gate.late(self.waiting[row]))

    def _refuse(self, refused: Refused) -> None:
        del self.waiting[refused.item.what]
        self.simulation.turn_away(refused.item.what, UNAVAILABLE)

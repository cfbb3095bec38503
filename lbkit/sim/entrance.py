"""The entrance before the balancer, in virtual time: rate limits, and the gate with its queue.

It decides and plans, with the same core objects as the proxy; the simulation carries out the decisions.
"""

from __future__ import annotations

from collections import deque

from mypy_extensions import mypyc_attr

from lbkit.core.gate import Gate, Refused
from lbkit.core.limit.several import tightest
from lbkit.core.queues import Item
from lbkit.draws import stream
from lbkit.edge import TOO_MANY, UNAVAILABLE, Admission, Rules
from lbkit.experiment import Experiment
from lbkit.sim.engine import Engine
from lbkit.sim.handshakes import Handshakes
from lbkit.sim.kinds import ADMIT, ENTER, EXPIRE, SECURED
from lbkit.sim.requests import Requests

# Decisions about a request, besides the statuses of answers.
PASS = 0  # it goes on
HOLD = -1  # it waits: an event is planned for it


@mypyc_attr(allow_interpreted_subclasses=True)
class Entrance:
    """Decides which requests go on to the balancer, and when, in an experiment with limits or admission."""

    def __init__(self, experiment: Experiment, engine: Engine, requests: Requests) -> None:
        self.engine = engine
        self.requests = requests
        self.rules = Rules(experiment.limits) if experiment.limits else None
        self.gate: Gate | None = None
        if experiment.admission:
            self.gate = experiment.admission.gate(rng=stream(experiment.seed, "admission"))
        self.handshakes = Handshakes(experiment, experiment.tls) if experiment.tls else None
        self.read = (experiment.admission or Admission()).read()
        self.waiting: dict[int, Item] = {}  # row -> its place at the gate
        self.admitted: dict[int, float] = {}  # row -> when the gate let it through
        self.refused: deque[Refused] = deque()  # by the gate, and not yet returned by `next`
        self.wakes = -1.0  # the moment for which the latest ADMIT is planned

    def connect(self, row: int) -> int:
        """Return PASS if a connection is open for a request, HOLD if it waits for one (until its SECURED)."""
        now = self.engine.now
        if self.handshakes is None:
            return PASS
        ready = self.handshakes.ready(row, self.requests.client[row], now)
        if ready == now:
            return PASS
        self.engine.plan(ready, SECURED, row)
        return HOLD

    def limit(self, row: int) -> int:
        """Return the decision of the rate limits: PASS, HOLD (until its ENTER) or the status of an answer."""
        if self.rules is None or not (rules := self.rules.about(self.requests.view(row))):
            return PASS
        now = self.engine.now
        decision = tightest(self.rules.decide(rules, now))
        if not decision.allowed:
            return TOO_MANY
        if decision.delay > 0:
            self.engine.plan(now + decision.delay, ENTER, row)
            return HOLD
        return PASS

    # -- the gate ---------------------------------------------------------------------------

    def enter(self, row: int) -> int:
        """Return PASS where there is no gate, else HOLD; then `next` has the decisions of the gate."""
        if self.gate is None:
            return PASS
        now = self.engine.now
        self.waiting[row] = item = self.read(self.requests.view(row), row, now)
        if refused := self.gate.enter(item, now):
            self.refused.append(refused)
        return HOLD

    def next(self) -> tuple[int, int] | None:
        """Return the next decision of the gate: a row, and PASS or a status. Call it until there is none."""
        assert self.gate
        now = self.engine.now
        decision = self.refused.popleft() if self.refused else self.gate.next(now)
        if decision is None:
            wake = self.gate.wake_at(now)
            if wake is not None and not now < self.wakes <= wake:
                self.wakes = wake
                self.engine.plan(wake, ADMIT)
            return None
        if isinstance(decision, Refused):
            return self._refuse(decision)
        row: int = decision.what
        del self.waiting[row]
        self.admitted[row] = now
        return row, PASS

    def time_limit(self, row: int) -> None:
        """Plan the EXPIRE of a request that still waits at the gate."""
        if self.gate and row in self.waiting:
            self.engine.plan(self.engine.now + self.gate.timeout, EXPIRE, row)

    def expire(self, row: int) -> int | None:
        """Return the status for a request that has waited too long; None if it no longer waits."""
        if self.gate is None or row not in self.waiting:
            return None
        _, status = self._refuse(self.gate.late(self.waiting[row]))
        return status

    def withdraw(self, row: int) -> None:
        """The client of a request has left: it waits no longer at the gate, if it did."""
        if self.handshakes:
            self.handshakes.lost(row)
        if self.gate and (item := self.waiting.pop(row, None)):
            self.gate.leave(item)

    def leave(self, row: int, ok: bool) -> bool:
        """A request has its answer. Return whether it had passed the gate: call `next` then."""
        if self.handshakes:
            self.handshakes.done(row)
        if self.gate is None or row not in self.admitted:
            return False
        now = self.engine.now
        self.gate.done(now, now - self.admitted.pop(row), ok)
        return True

    def _refuse(self, refused: Refused) -> tuple[int, int]:
        row: int = refused.item.what
        del self.waiting[row]
        return row, UNAVAILABLE

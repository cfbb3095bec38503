"""Health checks of the simulated balancers: each probes each of its backends, as long as there is traffic."""

from __future__ import annotations

import random
from collections.abc import Mapping

from lbkit.core import Backend, Pool
from lbkit.core.health.checks import CheckRules
from lbkit.health_page import page
from lbkit.sim.engine import Engine
from lbkit.sim.kinds import CHECK, CHECKED
from lbkit.sim.servers import SimServer


class Checks:
    """Plans a CHECK for each probe that is sent, and a CHECKED for its outcome."""

    def __init__(
        self,
        rules: CheckRules,
        engine: Engine,
        server_of: Mapping[Backend, SimServer],
        rng: random.Random,
        until: float,
    ) -> None:
        """`until`: from this second on, probes end with the last request."""
        self.rules = rules
        self.engine = engine
        self.server_of = server_of
        self.rng = rng
        self.until = until
        self.sent = 0
        self._backends: list[tuple[Pool, Backend]] = []  # the row of an event is an index in here
        self._outcomes: list[str] = []  # of the probe on its way: empty, or how it fails
        self._starts: list[float] = []  # when it was sent
        self._planned = 0  # events of our own that are to come: one for each backend

    def watch(self, pool: Pool, backend: Backend) -> None:
        """Begin to probe a backend."""
        health = pool.watch and pool.watch.health(backend.name)
        assert health, "the rules have checks"
        self._backends.append((pool, backend))
        self._outcomes.append("")
        self._starts.append(0.0)
        self._plan(self.engine.now + health.first_check(self.rng), CHECK, len(self._backends) - 1)

    def send(self, number: int) -> None:
        """Send a probe: its row is a number of ours."""
        self._planned -= 1
        pool, backend = self._backends[number]
        if backend not in pool.all_backends() or self._is_over():
            return
        now, server = self.engine.now, self.server_of[backend]
        self.sent += 1
        takes = server.delay + server.delay
        outcome = self._outcome(server) if server.up else "connection refused"
        # A connection to one that hangs is accepted: that is enough for a probe that only connects.
        unanswered = server.chaos.hung and self.rules.probe.kind != "tcp"
        if takes > self.rules.timeout or unanswered:
            takes, outcome = self.rules.timeout, "no answer in time"
        self._starts[number], self._outcomes[number] = now, outcome
        self._plan(now + takes, CHECKED, number)

    def _outcome(self, server: SimServer) -> str:
        """Return how a probe of a server that is up fails; empty if it passes."""
        probe = self.rules.probe
        if probe.kind != "http":
            return ""
        return probe.fault(*page(probe.path, server.healthy, server.chaos.states))

    def receive(self, number: int) -> None:
        """The outcome of a probe is known."""
        self._planned -= 1
        pool, backend = self._backends[number]
        health = pool.watch and pool.watch.health(backend.name)
        if not (pool.watch and health) or backend not in pool.all_backends():
            return
        outcome = self._outcomes[number]
        pool.watch.probed(backend.name, not outcome, self.engine.now, outcome)
        next_start = self._starts[number] + health.next_check(self.rng)
        self._plan(max(self.engine.now, next_start), CHECK, number)

    def _is_over(self) -> bool:
        """Whether nothing but our own events is to come."""
        return self.engine.now >= self.until and len(self.engine) <= self._planned

    def _plan(self, time: float, kind: int, number: int) -> None:
        self._planned += 1
        self.engine.plan(time, kind, number)

"""Deploys in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan

from attrs import evolve

from lbkit.core import AnyPool, Intent
from lbkit.core.deploy import Deployment, begin
from lbkit.core.drain import DrainState
from lbkit.core.judge import Counts
from lbkit.core.rollout import RollingDeploy, Rollout
from lbkit.core.state_change import StateChange
from lbkit.core.traffic_shift import TrafficShift
from lbkit.sim.engine import Engine
from lbkit.sim.kinds import ROLLOUT
from lbkit.sim.requests import Requests
from lbkit.sim.servers import SimServer

INTERVAL = 0.05  # seconds between calls of `advance`


class Deploy:
    """Plans a ROLLOUT event for each call of `advance`, until the deploy or the traffic is over."""

    def __init__(
        self,
        rules: Deployment,
        engine: Engine,
        pool: AnyPool,
        servers: dict[str, SimServer],
        requests: Requests,
        until: float,
        add: Callable[[str, float], object],
        drain: Callable[[str], object],
        crash: Callable[[SimServer], object],
        on_change: Callable[[StateChange], object],
    ) -> None:
        self.rules = rules
        self.engine = engine
        self.pool = pool
        self.servers = servers
        self.requests = requests
        self.until = until
        self.rollout: Rollout | TrafficShift | None = None
        self._add = add
        self._drain = drain
        self._crash = crash
        self._on_change = on_change
        self._specs = {name: server.spec for name, server in servers.items()}
        engine.plan(rules.at, ROLLOUT)

    def look(self, _: int) -> None:
        if self.rollout is None:
            names = [*(backend.name for backend in self.pool.backends), *self.rules.arrivals]
            weights = {name: self._specs[name].weight for name in names}
            self.rollout = begin(self.rules, weights, self, self._on_change)
        self.rollout.advance(self.engine.now)
        if not self.rollout.over and self.engine.now + INTERVAL <= self.until:
            self.engine.plan(self.engine.now + INTERVAL, ROLLOUT)

    # -- as a Managed fleet ---------------------------------------------------------------------

    def add(self, name: str, weight: float) -> None:
        self._add(name, weight)

    def set_weight(self, name: str, weight: float) -> None:
        self.pool.set_weight(name, weight)

    def drain(self, name: str) -> None:
        self._drain(name)

    def drained(self, name: str) -> bool:
        return all(pool.drains.state(name) is DrainState.DRAINED for pool in self.pool.pools)

    def replace(self, name: str, new: bool) -> None:
        assert isinstance(self.rules, RollingDeploy)
        server, spec = self.servers[name], self._specs[name]
        if new:
            failing = spec.error_rate if self.rules.error_rate is None else self.rules.error_rate
            spec = evolve(spec, speed=spec.speed * self.rules.speed, error_rate=failing)
        if self.rules.drain:
            self.pool.set_intent(name, Intent.OUT, self.engine.now)
        self._crash(server)
        server.spec, server.error_rate = spec, spec.error_rate
        server.recover()

    def serves(self, name: str) -> bool:
        return self.servers[name].up and all(pool[name].healthy for pool in self.pool.pools)

    def undrain(self, name: str) -> None:
        self.pool.set_intent(name, Intent.READY, self.engine.now)

    def counts(self) -> dict[str, Counts]:
        """Return the answers of each server. It scans all requests, as a deploy rarely needs the counts."""
        requests = self.requests
        totals, errors = [0] * len(self.servers), [0] * len(self.servers)
        for end, index, status in zip(requests.end, requests.backend, requests.status, strict=True):
            if index >= 0 and not isnan(end):
                totals[index] += 1
                errors[index] += status >= 500
        return {
            name: Counts(totals[server.index], errors[server.index]) for name, server in self.servers.items()
        }

"""The servers of a simulation, the pool of their backends, and what the experiment's events do to both."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import inf
from typing import ClassVar

from mypy_extensions import mypyc_attr

from lbkit.core import Backend, Intent, Pool
from lbkit.core.attempts import Failure
from lbkit.core.balance import algorithms
from lbkit.core.state_change import StateChange
from lbkit.draws import stream
from lbkit.events import DEPENDENCY_STATES
from lbkit.experiment import Action, Experiment, Policy, Server
from lbkit.sim import kinds
from lbkit.sim.checks import Checks
from lbkit.sim.engine import Engine, Handler
from lbkit.sim.reports import Reports
from lbkit.sim.requests import NAN, Requests
from lbkit.sim.rollouts import Deploy
from lbkit.sim.servers import SERVERS, SimServer
from lbkit.sim.travel import place
from lbkit.tier import Node

# The events that a request is waiting for while a backend has it, besides the end of its work.
UNDER_WAY = (kinds.RECEIVE, kinds.ANSWER, kinds.REFUSE, kinds.CLOSE, kinds.RESEND)


@mypyc_attr(allow_interpreted_subclasses=True)
class ServerSide(Handler):
    """Servers, the balancer's view of them, and what changes either: events, health checks, a deploy."""

    servers_by_discipline: ClassVar[Mapping[str, type[SimServer]]] = SERVERS
    checks_kind: ClassVar[type[Checks]] = Checks
    pools_kind: ClassVar[type[Pool]] = Pool

    def __init__(self, experiment: Experiment, engine: Engine, requests: Requests) -> None:
        self.experiment, self.engine, self.requests = experiment, engine, requests
        policy = experiment.policy
        self.timeline = experiment.timeline
        self.servers = [self._server(spec, i) for i, spec in enumerate(experiment.servers)]
        if experiment.geography:
            place(experiment.geography, self.servers, experiment.traffic.clients)
        self.by_name = {server.spec.name: server for server in self.servers}
        there = [backend(spec) for spec in experiment.servers if spec.name not in experiment.joining]
        self.changes: list[StateChange] = []  # of the state of backends, by health rules
        self.pool = policy.pools(
            there,
            partial(stream, experiment.seed),
            experiment.pools,
            on_change=self.changed,
            kind=self.pools_kind,
        )
        self.server_of: dict[Backend, SimServer] = {}
        self._find_servers()
        self.checks = self._checks()
        self.deploy = self._deploy() if experiment.deploy else None
        # Whether an algorithm wants to know the servers' load, now or later.
        later = {algorithms()[e.algorithm] for e in self.timeline if e.action is Action.SWITCH}
        self.reporting = self.pool.wants_reports or any(one.wants_reports for one in later)
        self.reports = Reports(engine, self.pool, self.servers, self.server_of)

    def _server(self, spec: Node, index: int) -> SimServer:
        """Return what serves the requests that go to `spec`."""
        assert isinstance(spec, Server)
        kind = self.servers_by_discipline[spec.discipline]
        return kind(spec, index, self.experiment.seed, self.engine, self.requests)

    def _checks(self) -> Checks | None:
        """Return the active health checks, which watch all backends, or None."""
        experiment = self.experiment
        if not (experiment.policy.health and experiment.policy.health.checks):
            return None
        rules, rng = experiment.policy.health.checks, stream(experiment.seed, "checks")
        checks = self.checks_kind(rules, self.engine, self.server_of, rng, experiment.traffic.duration)
        for pool in self.pool.pools:
            for member in pool.backends:
                checks.watch(pool, member)
        return checks

    def _deploy(self) -> Deploy:
        assert self.experiment.deploy
        return Deploy(
            self.experiment.deploy,
            self.engine,
            self.pool,
            self.by_name,
            self.requests,
            self.experiment.traffic.duration,
            self.add,
            self.drain,
            self.crash,
            self.changes.append,
        )

    def changed(self, change: StateChange) -> None:
        """A health rule or a drain has changed the state of a backend."""
        self.changes.append(change)

    def _find_servers(self) -> None:
        """Find the server behind each balancer's backends."""
        self.server_of |= {b: self.by_name[b.name] for b in self.pool.all_backends()}

    def fail(self, row: int, failure: Failure, kept: bool = False) -> None:
        """An attempt ended without an answer; `kept`: on a connection that had served requests before."""
        raise NotImplementedError

    # -- events of the experiment ---------------------------------------------------------------------

    def plan_events(self) -> None:
        for i, event in enumerate(self.timeline):
            self.engine.plan(event.at, kinds.CHANGE, i)

    def change(self, index: int) -> None:
        """Event `index` of the timeline happens."""
        event = self.timeline[index]
        if state := DEPENDENCY_STATES.get(event.action):
            for server in self.servers:
                if event.server in ("", server.spec.name):
                    server.set_dependency(event.dependency, state)
            return
        if event.action is Action.SWITCH:
            self.use(self.experiment.policy.using(event.algorithm, event.options))
            return
        server, pool = self.by_name[event.server], self.pool
        match event.action:
            case Action.CRASH:
                self.crash(server)
            case Action.RECOVER:
                server.recover()
            case Action.SLOW:
                server.slow(event.value or 1.0)
            case Action.ADD:
                self.add(event.server)
            case Action.REMOVE:
                pool.remove(event.server)
            case Action.SET_WEIGHT:
                pool.set_weight(event.server, event.value or 0.0)
            case Action.DRAIN:
                self.drain(event.server)
            case Action.UNDRAIN:
                pool.set_intent(event.server, Intent.READY, self.engine.now)
            case Action.HANG:
                server.hang()
            case Action.LOSE:
                server.lose(event.value or 0.0)
            case Action.FAIL:
                server.fail(event.value or 0.0)
            case Action.DELAY:
                server.set_delay(event.value or 0.0)

    def use(self, policy: Policy) -> None:
        """The balancer goes on with another algorithm; requests under way stay where they are."""
        policy.switch(self.pool, partial(stream, self.experiment.seed))

    def add(self, name: str, weight: float | None = None) -> None:
        """Have a server join the pool as a new backend, by default with its own weight."""
        joins = backend(self.by_name[name].spec)
        if weight is not None:
            joins.weight = weight
        self.pool.add(joins)
        self._find_servers()
        if self.checks:
            for pool in self.pool.pools:
                if name in pool:
                    self.checks.watch(pool, pool[name])

    def crash(self, server: SimServer) -> None:
        """A server loses what it has; the balancer learns of it later."""
        for row in server.crash():
            self.engine.plan(self.engine.now + server.delay_of(row), kinds.CLOSE, row)

    def drain(self, name: str) -> None:
        """A backend gets no new requests, and has until its deadline for those it has."""
        self.pool.set_intent(name, Intent.DRAIN, self.engine.now)
        wake = min(pool.drains.wake for pool in self.pool.pools)
        if wake < inf:
            self.engine.plan(wake, kinds.CUT)

    def cut(self, _: int) -> None:
        """Cut off what still runs on backends with a drain that is at its deadline."""
        for pool in self.pool.pools:
            for backend in pool.drains.advance(self.engine.now):
                self.cut_off(backend)

    def cut_off(self, backend: Backend) -> None:
        """Cut off what runs on a backend."""
        lease = self.requests.lease
        there = lambda row: lease[row] is backend  # noqa: E731
        rows = self.server_of[backend].drop(there)
        for kind in UNDER_WAY:
            rows += self.engine.cancel(kind, there)
        for row in rows:
            self.requests.start[row], self.requests.service[row] = NAN, 0.0
            self.fail(row, Failure.CLOSED_UNANSWERED)


def backend(spec: Node) -> Backend:
    """Return a server as its balancer sees it."""
    return Backend(spec.name, weight=spec.weight, zone=spec.zone, priority=spec.priority, pool=spec.pool)

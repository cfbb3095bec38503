"""A chain of services in virtual time; the pool and `core.attempts` decide.

A *call* is a request to a service, an *attempt* sends a call to one of its servers; each has a row. A worker
that has done its own part of an attempt stays busy until the call to the next service is answered.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, Final

from lbkit.call_chain import CallChain
from lbkit.core import Backend, NoBackend
from lbkit.core.attempts import IDEMPOTENT, MOST_EVENTS, Attempts, Failure, GiveUp, Kind
from lbkit.core.retry import Retry
from lbkit.core.state_change import StateChange
from lbkit.core.vectors import column_of
from lbkit.draws import stream, uniforms
from lbkit.experiment import Action, Experiment
from lbkit.result import COLUMNS, Result
from lbkit.sim import kinds
from lbkit.sim.engine import Engine
from lbkit.sim.requests import Requests
from lbkit.sim.servers import OK, REFUSED, SERVER_ERROR, UNAVAILABLE, SimServer
from lbkit.workload import Kinds, needs, path_name, workload

CLIENT: Final = -1  # the parent of a call that comes from outside


class Open:
    """The state of a call that has no answer yet."""

    __slots__ = ("attempt", "attempts", "failed")

    def __init__(self) -> None:
        self.attempt = -1  # the row of the attempt that is under way
        self.attempts = 0  # backends picked
        self.failed: Attempts | None = None


class Service:
    """The servers of one service, and the balancer before them."""

    def __init__(self, spec: Experiment, first: int, rows: int, engine: Engine, requests: Requests) -> None:
        """`first`: the index of its first server among all; `rows`: the number of clients' requests."""
        self.spec = spec
        self.first = first
        named: Callable[[str], Any] = lambda name: stream(spec.seed, f"{spec.name}/{name}")  # noqa: E731
        self.servers = [
            SimServer(server, first + i, spec.seed, engine, requests) for i, server in enumerate(spec.leaves)
        ]
        self.by_name = {server.spec.name: server for server in self.servers}
        self.changes: list[StateChange] = []
        backends = [Backend(s.name, weight=s.weight, zone=s.zone, priority=s.priority) for s in spec.leaves]
        self.pool = spec.policy.pool(backends, named, on_change=self.changes.append)
        self.rules = spec.policy.retry or Retry()
        self.attempts = spec.policy.attempts(named)
        self.attempts.keep = MOST_EVENTS
        self.attempt_time = self.rules.timeouts.until_answer if self.rules.timeouts else inf
        # By client's request: every attempt for the same request needs the same work.
        self.demand, self.luck = (array("d", uniforms(rows, named(name))) for name in ("demand", "luck"))
        self.calls: list[int] = []


class ChainSimulation:
    """One run of a chain."""

    def __init__(self, chain: CallChain) -> None:
        first = chain.services[0]
        traffic = workload(first)
        self.chain = chain
        self.requests = requests = Requests(traffic, Kinds(first))
        rows = len(traffic)
        self.engine = Engine()
        self.services: list[Service] = []
        for spec in chain.services:
            number = sum(len(service.servers) for service in self.services)
            self.services.append(Service(spec, number, rows, self.engine, requests))
        self.services[0].calls = list(range(rows))
        self.servers = [server for service in self.services for server in service.servers]
        # By row: the index of its service, the client's request, and its parent: of an attempt the call, of
        # a call the attempt whose worker waits for it.
        self.level = [0] * rows
        self.root = list(range(rows))
        self.parent = [CLIENT] * rows
        self.open: dict[int, Open] = {}
        self.waiting: set[int] = set()  # attempts whose workers wait for the next service
        self.events = [(i, event) for i, spec in enumerate(chain.services) for event in spec.timeline]

    def run(self) -> dict[str, Result]:
        """Run until every request is answered; return each service's Result by name."""
        handlers: list[Callable[[int], object]] = [_never] * (kinds.SECURED + 1)
        for kind, handler in (
            (kinds.ARRIVE, self.call),
            (kinds.RECEIVE, self.receive),
            (kinds.COMPLETE, self.complete),
            (kinds.ANSWER, self.answer),
            (kinds.REFUSE, partial(self.fail, failure=Failure.REFUSED)),
            (kinds.CLOSE, partial(self.fail, failure=Failure.CLOSED_UNANSWERED)),
            (kinds.TIMEOUT, partial(self.fail, failure=Failure.ATTEMPT_TIMEOUT)),
            (kinds.RETRY, self.attempt),
            (kinds.CHANGE, self.change),
            (kinds.BOOT, lambda index: self.servers[index].booted()),
        ):
            handlers[kind] = handler
        for i, (_, event) in enumerate(self.events):
            self.engine.plan(event.at, kinds.CHANGE, i)
        self.engine.feed(column_of(self.requests.arrival), kinds.ARRIVE)
        self.engine.run(handlers)
        return {service.spec.name: self._result(service) for service in self.services}

    def _result(self, service: Service) -> Result:
        columns = {name: array(code, self._column(name, service)) for name, code in COLUMNS.items()}
        facts = {"changes": service.changes, **service.attempts.facts()}
        return Result(service.spec, "sim", columns, facts)

    def _column(self, name: str, service: Service) -> list[Any]:
        column = getattr(self.requests, name)
        found = [column[row] for row in service.calls]
        return found if name != "backend" else [b - service.first if b >= 0 else -1 for b in found]

    # -- a call, and its attempts --------------------------------------------------------------------

    def call(self, row: int) -> None:
        """A call arrives at the balancer of its service."""
        self.open[row] = Open()
        self.services[self.level[row]].attempts.began(self.engine.now)
        self.attempt(row)

    def attempt(self, row: int) -> None:
        """Send a call to a server that it has not been sent to before."""
        requests, now = self.requests, self.engine.now
        service, call = self.services[self.level[row]], self.open[row]
        tried = call.failed.tried if call.failed else ()
        try:
            backend = service.pool.pick(path_name(requests.path[row]), now, tried)
        except NoBackend:
            self.give_up(row, call.failed.status if call.failed else UNAVAILABLE)
            return
        server = service.by_name[backend.name]
        copy = call.attempt = self._add(row, row)
        call.attempts += 1
        requests.lease[copy], requests.since[copy] = backend, now
        requests.backend[copy] = server.index
        if service.attempt_time < inf:
            self.engine.plan(now + service.attempt_time, kinds.TIMEOUT, copy)
        self.engine.plan(now + server.delay, kinds.RECEIVE, copy)

    def _add(self, like: int, parent: int, level: int | None = None) -> int:
        """Return a new row: of an attempt, or, with a `level`, of a call to that service."""
        requests, root = self.requests, self.root[like]
        service = self.services[self.level[like] if level is None else level]
        row = requests.add(
            self.engine.now,
            requests.client[like],
            requests.path[like],
            service.demand[root],
            service.luck[root],
        )
        self.level.append(self.level[like] if level is None else level)
        self.root.append(root)
        self.parent.append(parent)
        return row

    def fail(self, copy: int, failure: Failure) -> None:
        """An attempt fails, unless it has ended already; its server goes on working on it."""
        row = self.parent[copy]
        call = self.open.get(row)
        if call is None or call.attempt != copy:
            return
        service, now = self.services[self.level[row]], self.engine.now
        backend = self.requests.lease[copy]
        if call.failed is None:
            safe = self.requests.method(row) in IDEMPOTENT
            call.failed = Attempts(service.attempts, safe, has_other=service.pool.has_other)
        step = call.failed.after(failure, backend, False, now)
        if isinstance(step, GiveUp) and failure is Failure.STATUS:
            self.take(row, copy)
            return
        call.attempt = -1
        service.pool.release(backend, self.requests.since[copy], False, now)
        if isinstance(step, GiveUp):
            self.give_up(row, step.status)
        else:
            self.engine.plan(now + step.delay, kinds.RETRY, row)

    def answer(self, copy: int) -> None:
        """A server's answer arrives at the balancer; too late if the attempt has been given up."""
        row = self.parent[copy]
        call = self.open.get(row)
        if call is None or call.attempt != copy:
            return
        if self.requests.status[copy] in self.services[self.level[row]].rules.statuses:
            self.fail(copy, Failure.STATUS)
        else:
            self.take(row, copy)

    def take(self, row: int, copy: int) -> None:
        """Pass a server's answer on."""
        requests, service = self.requests, self.services[self.level[row]]
        requests.start[row], requests.service[row] = requests.start[copy], requests.service[copy]
        requests.backend[row], status = requests.backend[copy], requests.status[copy]
        service.pool.release(requests.lease[copy], requests.since[copy], status < 500, self.engine.now)
        self.end(row, status)

    def give_up(self, row: int, status: int) -> None:
        """The balancer answers a call itself, with the fallback if there is one."""
        service = self.services[self.level[row]]
        if fallback := service.rules.fallback:
            service.attempts.note(Kind.FALLBACK, self.engine.now)
            status = fallback.status
        self.end(row, status)

    def end(self, row: int, status: int) -> None:
        """A call has its answer; a worker that still waits for it can answer in turn."""
        requests = self.requests
        requests.end[row], requests.status[row] = self.engine.now, status
        requests.attempts[row] = self.open.pop(row).attempts
        above = self.parent[row]
        if above in self.waiting:
            self.waiting.remove(above)
            self.finish(above, OK if status < 500 else SERVER_ERROR)

    # -- servers -------------------------------------------------------------------------------------

    def receive(self, copy: int) -> None:
        """An attempt reaches its server."""
        server = self.servers[self.requests.backend[copy]]
        if outcome := server.receive(copy):
            kind = kinds.REFUSE if outcome == REFUSED else kinds.ANSWER
            self.requests.status[copy] = outcome
            self.engine.plan(self.engine.now + server.delay, kind, copy)

    def complete(self, copy: int) -> None:
        """A worker has done its own part, and calls the next service if the path needs it."""
        below = self.level[copy] + 1
        last = below == len(self.services)
        path = path_name(self.requests.path[copy])
        if last or not needs(path, self.services[below].spec.name, self.chain.share if below == 1 else 1.0):
            self.finish(copy, OK)
            return
        self.waiting.add(copy)
        row = self._add(copy, copy, below)
        self.services[below].calls.append(row)
        self.call(row)

    def finish(self, copy: int, status: int) -> None:
        """A worker is free again, and sends its answer."""
        requests, server = self.requests, self.servers[self.requests.backend[copy]]
        requests.service[copy] = self.engine.now - requests.start[copy]
        requests.status[copy] = status
        server.complete()
        self.engine.plan(self.engine.now + server.delay, kinds.ANSWER, copy)

    def change(self, index: int) -> None:
        """An event happens to a server."""
        level, event = self.events[index]
        server = self.services[level].by_name[event.server]
        if event.action is Action.CRASH:
            held = [copy for copy in self.waiting if self.requests.backend[copy] == server.index]
            self.waiting.difference_update(held)
            for copy in server.crash() + sorted(held):
                self.engine.plan(self.engine.now + server.delay, kinds.CLOSE, copy)
        else:
            _HAPPENS[event.action](server, event.value or 0.0)


_HAPPENS: dict[Action, Callable[[SimServer, float], object]] = {
    Action.SLOW: SimServer.slow,
    Action.FAIL: SimServer.fail,
    Action.DELAY: SimServer.set_delay,
    Action.RECOVER: lambda server, _: server.recover(),
}


def _never(row: int) -> None:
    """Handle a kind of event that a chain never plans."""
    raise AssertionError(f"a chain never plans this kind of event: row {row}")


def simulate_chain(chain: CallChain) -> dict[str, Result]:
    """Return the Result of each service of a chain, by name."""
    return ChainSimulation(chain).run()

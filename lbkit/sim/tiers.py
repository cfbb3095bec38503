"""Layers of balancers in virtual time: a tier is a server with a simulation inside.

Each tier's simulation has its own engine, rows and random streams, so it supports every policy, and an
experiment without tiers runs none of this code. The time of the next event inside a tier is planned in the
engine above as an event of kind TIER; until then the inner engine stands still.

A tier's balancer answers health checks with 200 while it has a backend in service, else with 503. If the
balancer crashes, it keeps its state, and its servers go on working on requests that nobody waits for.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import chain
from math import inf, nan
from typing import Any, ClassVar, TypeVar

from lbkit.core import Backend, Pool
from lbkit.core.attempts import Failure
from lbkit.experiment import Experiment, Server
from lbkit.layers import MOST_SEEN, Layer, Layers, Seen
from lbkit.result import good
from lbkit.sim import kinds
from lbkit.sim.engine import Engine, Handlers
from lbkit.sim.requests import Requests
from lbkit.sim.servers import ACCEPTED, SimServer
from lbkit.sim.simulation import Simulation
from lbkit.tier import Node, Tier

KindOf = Callable[[Experiment], type[Simulation]]
Layered = TypeVar("Layered", bound="LayerSimulation")


class LayerSimulation(Simulation):
    """A simulation with tiers among its servers: of the whole experiment, or of what is inside a tier."""

    @staticmethod
    def kind_of(experiment: Experiment) -> type[Simulation]:
        """Return the class that simulates an experiment apart from its tiers."""
        raise NotImplementedError

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        self.max_events = max_events
        self.seen: list[Seen] = []
        super().__init__(experiment, max_events)
        # The column `backend` has the index of a direct server or tier while a request is under way, and from
        # `direct` on the index of the leaf that answered. `servers` has the tier at both.
        self.direct = len(self.servers)
        for server in self.servers[: self.direct]:
            if isinstance(server, TierServer):
                server.first_leaf = len(self.servers)
                self.servers += [server] * len(server.leaves)
        self.leaf_of = self._leaves()

    def _leaves(self) -> list[int]:
        """Return for each index in `backend` the leaf's index in a Result; the last one is for -1."""
        direct: list[int] = []
        below: list[int] = []
        leaf = 0
        for server in self.servers[: self.direct]:
            count = len(server.leaves) if isinstance(server, TierServer) else 1
            # -1 for a tier: it has answered itself, without a server.
            direct.append(-1 if isinstance(server, TierServer) else leaf)
            below += range(leaf, leaf + count) if isinstance(server, TierServer) else ()
            leaf += count
        return [*direct, *below, -1]

    @property
    def tiers(self) -> list[TierServer]:
        return [server for server in self.servers[: self.direct] if isinstance(server, TierServer)]

    def _server(self, spec: Node, index: int) -> SimServer:
        if isinstance(spec, Server):
            return super()._server(spec, index)
        inside = simulation_inside(self.kind_of, spec, self.experiment.inside(spec), self.max_events)
        return TierServer(spec, inside, index, self.experiment.seed, self.engine, self.requests)

    def _handlers(self) -> Handlers:
        handlers = list(super()._handlers())
        handlers[kinds.TIER] = self.run_inside
        return handlers

    def run_inside(self, index: int) -> None:
        """Run the events inside a tier that are due, and send back the answers."""
        server = self.servers[index]
        assert isinstance(server, TierServer)
        for row, status in server.run_inside():
            self.send_back(row, server, status)

    def plan_events(self) -> None:
        for i, event in enumerate(self.timeline):
            if event.server in self.by_name or not event.server:  # the others are planned inside a tier
                self.engine.plan(event.at, kinds.CHANGE, i)

    # -- failures that it sees ------------------------------------------------------------------

    def see(self, row: int) -> None:
        """Note that an attempt has failed, or that a server has answered it with an error."""
        if len(self.seen) < MOST_SEEN:
            self.seen.append(Seen(self.engine.now, self.servers[self.requests.backend[row]].spec.name))

    def fail(self, row: int, failure: Failure, kept: bool = False) -> None:
        self.see(row)
        super().fail(row, failure, kept)

    def answer(self, row: int) -> None:
        if self.requests.status[row] >= 500:
            self.see(row)
        super().answer(row)

    # -- the result -----------------------------------------------------------------------------

    @property
    def stuck(self) -> bool:
        return super().stuck or any(tier.inside.stuck for tier in self.tiers)

    def abandon(self, now: float) -> None:
        super().abandon(now)
        for tier in self.tiers:
            tier.inside.abandon(now)

    def columns(self) -> dict[str, array[Any]]:
        columns = super().columns()
        columns["backend"] = array("i", (self.leaf_of[number] for number in columns["backend"]))
        return columns

    def layers(self, above: str | None = None, depth: int = 0) -> Layers:
        """Return what each layer saw, this one first."""
        name = "" if above is None else self.experiment.name
        inside = [tier.inside.layers(name, depth + 1) for tier in self.tiers]
        direct = {self.leaf_of[i] for i, s in enumerate(self.servers[: self.direct]) if self.leaf_of[i] >= 0}
        columns = self.columns()
        pairs = zip(columns["arrival"], columns["end"], strict=True)
        took = [end - arrival for arrival, end in pairs if end == end]
        served = zip(columns["backend"], columns["service"], strict=True)
        work = sum(service for leaf, service in served if leaf in direct)
        below = sum(part[0].seconds * part[0].requests for part in inside if part[0].requests)
        number = len(columns["arrival"])
        failed = [b for s, b in zip(columns["status"], columns["backend"], strict=True) if not good(s)]
        attempts = sum(columns["attempts"])
        this = Layer(
            name,
            above,
            depth,
            tuple(node.name for node in self.experiment.servers),
            number,
            len(failed),
            self._own_answers(),
            attempts,
            attempts - sum(count > 0 for count in columns["attempts"]),
            sum(took) / len(took) if took else nan,
            round((sum(took) - below - work) / len(took), 9) if took else nan,
            tuple(self.seen),
            tuple(self.changes),
        )
        return Layers([this, *chain.from_iterable(inside)])

    def _own_answers(self) -> int:
        """Return the number of failed requests that no server or tier below has answered."""
        columns = super().columns()  # with the indices of tiers
        rows = zip(columns["backend"], columns["status"], strict=True)
        return sum(number == -1 and status != 0 and not good(status) for number, status in rows)

    def _facts(self) -> dict[str, Any]:
        layers = self.layers()
        changes = sorted(chain.from_iterable(layer.changes for layer in layers), key=lambda change: change.at)
        facts = {**super()._facts(), "layers": layers, "changes": changes}
        if probes := self.probes():
            facts["probes"] = probes
        return facts

    def probes(self) -> int:
        """Return the number of probes that it and its tiers have sent."""
        return (self.checks.sent if self.checks else 0) + sum(tier.inside.probes() for tier in self.tiers)


class Inside(LayerSimulation):
    """The simulation inside a tier: the layer above sends it requests, and gets their outcomes."""

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        self.unreported: list[int] = []  # ended rows whose outcome the layer above does not know yet
        super().__init__(experiment, max_events)
        self.followed = True

    def ended(self, row: int, ok: bool) -> None:
        super().ended(row, ok)
        self.unreported.append(row)

    def knows(self, client: int) -> bool:
        """Return whether a client can reach a server without this balancer."""
        return False

    def submit(self, row: int) -> None:
        """Take a request from the layer above."""
        self.handlers[kinds.ARRIVE](row)


class NameServer(Inside):
    """The simulation inside a tier with a `ttl`: clients query it, and keep its answer for that long."""

    tier: ClassVar[Tier]

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        self.answers: dict[int, tuple[str, float]] = {}  # client -> its answer, and when that expires
        super().__init__(experiment, max_events)

    def knows(self, client: int) -> bool:
        return bool(self._known(client))

    def _known(self, client: int) -> str:
        """Return the answer that a client still has; empty if it has to query."""
        name, until = self.answers.get(client, ("", 0.0))
        assert isinstance(self.pool, Pool)
        return name if self.engine.now < until and name in self.pool else ""

    def submit(self, row: int) -> None:
        if self.knows(self.requests.client[row]):
            super().submit(row)
        else:  # after the query's round trip
            self.engine.plan(self.engine.now + 2 * self.tier.distance, kinds.ARRIVE, row)

    def dispatch(self, row: int, tried: tuple[Backend, ...] = ()) -> None:
        name = "" if tried else self._known(self.requests.client[row])
        if name:
            assert isinstance(self.pool, Pool)
            self._send(row, self.pool.pick_named(name, self.engine.now))
            return
        super().dispatch(row, tried)
        if not tried and self.requests.attempts[row]:
            assert self.tier.ttl is not None
            name = self.requests.lease[row].name
            self.answers[self.requests.client[row]] = name, self.engine.now + self.tier.ttl

    def _send(self, row: int, backend: Backend) -> None:
        """Send a request straight to the backend whose name its client has."""
        requests, server = self.requests, self.server_of[backend]
        requests.lease[row] = backend
        requests.since[row] = self.engine.now
        requests.backend[row] = server.index
        self.resend(row)


class TierServer(SimServer):
    """A tier as the balancer above sees it: a server that takes requests and answers them."""

    __slots__ = ("first_leaf", "inside", "leaves", "on_path", "rows_above", "wake")

    def __init__(
        self, tier: Tier, inside: Inside, index: int, seed: int, engine: Engine, requests: Requests
    ) -> None:
        stand_in = Server(
            tier.name,
            workers=tier.workers,
            weight=tier.weight,
            zone=tier.zone,
            priority=tier.priority,
            pool=tier.pool,
            delay=tier.delay,
        )
        super().__init__(stand_in, index, seed, engine, requests)
        self.inside = inside
        self.leaves = inside.experiment.leaves
        self.first_leaf = 0  # the index of its first leaf in the column `backend` above
        self.rows_above: dict[int, int] = {}  # row inside -> row above, for requests under way
        self.on_path = tier.ttl is None  # whether requests pass through it; clients only query a name server
        self.wake = inf  # the time for which a TIER event is planned above
        self._plan()

    def receive(self, row: int) -> int:
        if not self.plain and (outcome := self._disturbed(row)) is not None:
            return outcome
        self._advance()
        above = self.requests
        inside = self.inside.requests.add(
            self.engine.now, above.client[row], above.path[row], above.demand[row], above.luck[row]
        )
        self.rows_above[inside] = row
        self.inside.submit(inside)
        outcome = ACCEPTED
        if self.inside.unreported and self.inside.unreported[-1] == inside:
            self.inside.unreported.pop()
            outcome = self._outcome(inside)
        self._plan()
        return outcome

    def run_inside(self) -> list[tuple[int, int]]:
        """Run the events inside that are due; return (row above, status) of the requests that have ended."""
        if self.wake <= self.engine.now:
            self.wake = inf
        self._advance()
        self._plan()
        if self.chaos.hung and self.on_path:
            return []
        rows, self.inside.unreported[:] = list(self.inside.unreported), []
        return [(self.rows_above[row], self._outcome(row)) for row in rows if row in self.rows_above]

    def _advance(self) -> None:
        self.inside.engine.run(self.inside, self.engine.now)

    def _plan(self) -> None:
        """Plan a TIER event above for the next event inside, unless one is planned already."""
        if (due := self.inside.engine.due) < self.wake:
            self.wake = due
            self.engine.plan(due, kinds.TIER, self.index)

    def _outcome(self, row: int) -> int:
        """Return the status of an ended row inside, and copy above which server answered, and when."""
        inside, above, number = self.inside.requests, self.requests, self.rows_above.pop(row)
        leaf = self.inside.leaf_of[inside.backend[row]]
        above.start[number], above.service[number] = inside.start[row], inside.service[row]
        if leaf >= 0:
            above.backend[number] = self.first_leaf + leaf
        return inside.status[row]

    # -- failures of the balancer itself ------------------------------------------------------

    @property
    def healthy(self) -> bool:
        return any(pool.eligible for pool in self.inside.pool.pools)

    def _disturbed(self, row: int) -> int | None:
        return None if self.inside.knows(self.requests.client[row]) else super()._disturbed(row)

    def _lose_running(self) -> list[int]:
        if not self.on_path:
            return []
        rows = list(self.rows_above.values())
        self.rows_above.clear()
        return rows

    def _drop_running(self, wanted: Callable[[int], bool]) -> list[int]:
        dropped = {inside: row for inside, row in self.rows_above.items() if wanted(row)}
        for inside in dropped:
            del self.rows_above[inside]
        return list(dropped.values())

    def _freeze(self) -> None:
        """Do nothing: while the tier hangs, `run_inside` passes no answers on."""

    def _go_on(self) -> None:
        self.engine.plan(self.engine.now, kinds.TIER, self.index)


def tiered(kind_of: KindOf, experiment: Experiment) -> type[Simulation]:
    """Return the class that simulates an experiment with tiers. `kind_of`: the class without them."""
    return _class(LayerSimulation, kind_of, experiment)


def simulation_inside(kind_of: KindOf, tier: Tier, experiment: Experiment, max_events: int | None) -> Inside:
    """Return the simulation inside a tier."""
    base = Inside if tier.ttl is None else NameServer
    return _class(base, kind_of, experiment, tier=tier)(experiment, max_events)


def _class(base: type[Layered], kind_of: KindOf, experiment: Experiment, **more: Any) -> type[Layered]:
    plain = kind_of(experiment)
    return type(f"{base.__name__}{plain.__name__}", (base, plain), {"kind_of": staticmethod(kind_of), **more})

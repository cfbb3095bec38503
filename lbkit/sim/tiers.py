"""Layers of balancers in virtual time: a tier is a server with a simulation inside.

Each simulation has an engine, rows and random streams of its own, and all that a policy can have; so a tier
is no special case of anything, and an experiment without tiers has none of this. The engine of a tier stands
still until the one above comes to the moment of its next event: that moment is planned above, as a TIER.

Health checks of a tier are answered by its balancer: 200 while it has a backend in service, and 503 else. A
balancer that has crashed does not forget what it knew, and what its servers work on goes on, unwanted.
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
    """A simulation with tiers among its servers: that of the experiment itself, and of each tier."""

    @staticmethod
    def kind_of(experiment: Experiment) -> type[Simulation]:
        """Return what simulates an experiment, without its tiers."""
        raise NotImplementedError

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        self.max_events = max_events
        self.seen: list[Seen] = []
        super().__init__(experiment, max_events)
        # While a request is under way, its number in the column `backend` is that of a direct server or tier;
        # after its answer, it is that of the leaf that gave it, from `direct` on. Both find the same server.
        self.direct = len(self.servers)
        for server in self.servers[: self.direct]:
            if isinstance(server, TierServer):
                server.first_leaf = len(self.servers)
                self.servers += [server] * len(server.leaves)
        self.leaf_of = self._leaves()

    def _leaves(self) -> list[int]:
        """Return the leaf with each number of `backend`, as in a Result; the last is for -1."""
        direct: list[int] = []
        below: list[int] = []
        leaf = 0
        for server in self.servers[: self.direct]:
            count = len(server.leaves) if isinstance(server, TierServer) else 1
            # A tier that has answered itself is no server.
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
        inside = inner(self.kind_of, spec, self.experiment.inside(spec), self.max_events)
        return TierServer(spec, inside, index, self.experiment.seed, self.engine, self.requests)

    def _handlers(self) -> Handlers:
        handlers = list(super()._handlers())
        handlers[kinds.TIER] = self.go_inside
        return handlers

    def go_inside(self, index: int) -> None:
        """Something happens inside a tier."""
        server = self.servers[index]
        assert isinstance(server, TierServer)
        for row, status in server.go_inside():
            self.send_back(row, server, status)

    def plan_events(self) -> None:
        for i, event in enumerate(self.timeline):
            if event.server in self.by_name or not event.server:  # else a tier takes care of it
                self.engine.plan(event.at, kinds.CHANGE, i)

    # -- what it sees ---------------------------------------------------------------------------

    def see(self, row: int) -> None:
        """Called when an attempt has failed, or is answered by an error of a server."""
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
        """Return what each layer has seen, this one first."""
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
        """Return how many requests it has answered itself."""
        columns = super().columns()  # with the tiers' numbers
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
        """Return the probes that it and its tiers have sent."""
        return (self.checks.sent if self.checks else 0) + sum(tier.inside.probes() for tier in self.tiers)


class Inside(LayerSimulation):
    """The simulation of a tier. Its requests come from the layer above, which gets their outcomes."""

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        self.over: list[int] = []  # rows whose outcome the layer above does not know yet
        super().__init__(experiment, max_events)
        self.followed = True

    def ended(self, row: int, ok: bool) -> None:
        super().ended(row, ok)
        self.over.append(row)

    def knows(self, client: int) -> bool:
        """Return whether a client can go on without this balancer."""
        return False

    def come(self, row: int) -> None:
        """A request comes from above."""
        self.handlers[kinds.ARRIVE](row)


class NameServer(Inside):
    """The simulation of a tier with a `ttl`. Clients ask it, and keep its answer for that long."""

    tier: ClassVar[Tier]

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        self.answers: dict[int, tuple[str, float]] = {}  # client -> what it was told, until when
        super().__init__(experiment, max_events)

    def knows(self, client: int) -> bool:
        return bool(self._known(client))

    def _known(self, client: int) -> str:
        """Return what a client has been told; empty if it has to ask."""
        name, until = self.answers.get(client, ("", 0.0))
        assert isinstance(self.pool, Pool)
        return name if self.engine.now < until and name in self.pool else ""

    def come(self, row: int) -> None:
        if self.knows(self.requests.client[row]):
            super().come(row)
        else:  # the question takes its time
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
            told = self.requests.lease[row].name
            self.answers[self.requests.client[row]] = told, self.engine.now + self.tier.ttl

    def _send(self, row: int, backend: Backend) -> None:
        """Send a request to the backend that its client knows."""
        requests, server = self.requests, self.server_of[backend]
        requests.lease[row] = backend
        requests.since[row] = self.engine.now
        requests.backend[row] = server.index
        self.resend(row)


class TierServer(SimServer):
    """A tier as the balancer above it sees it: a server, which takes requests and gives answers."""

    __slots__ = ("asked", "first_leaf", "inside", "leaves", "on_the_way", "wake")

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
        self.first_leaf = 0  # its number in `backend`, above
        self.asked: dict[int, int] = {}  # row inside -> row above, of what is under way
        self.on_the_way = tier.ttl is None  # else clients only ask it
        self.wake = inf  # when the next event inside is planned above
        self._plan()

    def receive(self, row: int) -> int:
        if not self.plain and (outcome := self._disturbed(row)) is not None:
            return outcome
        self._advance()
        above = self.requests
        inside = self.inside.requests.add(
            self.engine.now, above.client[row], above.path[row], above.demand[row], above.luck[row]
        )
        self.asked[inside] = row
        self.inside.come(inside)
        outcome = ACCEPTED
        if self.inside.over and self.inside.over[-1] == inside:
            self.inside.over.pop()
            outcome = self._outcome(inside)
        self._plan()
        return outcome

    def go_inside(self) -> list[tuple[int, int]]:
        """Have all happen inside that is due; return the rows above that have an outcome now, with it."""
        if self.wake <= self.engine.now:
            self.wake = inf
        self._advance()
        self._plan()
        if self.chaos.hung and self.on_the_way:
            return []
        rows, self.inside.over[:] = list(self.inside.over), []
        return [(self.asked[row], self._outcome(row)) for row in rows if row in self.asked]

    def _advance(self) -> None:
        self.inside.engine.run(self.inside, self.engine.now)

    def _plan(self) -> None:
        """Plan the next event inside, if it is not planned yet."""
        if (due := self.inside.engine.due) < self.wake:
            self.wake = due
            self.engine.plan(due, kinds.TIER, self.index)

    def _outcome(self, row: int) -> int:
        """Return the status of a row inside that has ended, and note above who served it."""
        inside, above, number = self.inside.requests, self.requests, self.asked.pop(row)
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
        if not self.on_the_way:
            return []
        rows = list(self.asked.values())
        self.asked.clear()
        return rows

    def _drop_running(self, wanted: Callable[[int], bool]) -> list[int]:
        dropped = {inside: row for inside, row in self.asked.items() if wanted(row)}
        for inside in dropped:
            del self.asked[inside]
        return list(dropped.values())

    def _freeze(self) -> None:
        """What comes from below is not passed on."""

    def _go_on(self) -> None:
        self.engine.plan(self.engine.now, kinds.TIER, self.index)


def tiered(kind_of: KindOf, experiment: Experiment) -> type[Simulation]:
    """Return the class that simulates an experiment with tiers. `kind_of`: what does it without them."""
    return _class(LayerSimulation, kind_of, experiment)


def inner(kind_of: KindOf, tier: Tier, experiment: Experiment, max_events: int | None) -> Inside:
    """Return the simulation of what is inside a tier."""
    base = Inside if tier.ttl is None else NameServer
    return _class(base, kind_of, experiment, tier=tier)(experiment, max_events)


def _class(base: type[Layered], kind_of: KindOf, experiment: Experiment, **more: Any) -> type[Layered]:
    plain = kind_of(experiment)
    return type(f"{base.__name__}{plain.__name__}", (base, plain), {"kind_of": staticmethod(kind_of), **more})

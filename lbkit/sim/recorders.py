"""What each kind of simulation records besides; and the class that records for a kind."""

from __future__ import annotations

from math import nan
from typing import Any

from lbkit.core import Backend
from lbkit.experiment import Experiment
from lbkit.layer4 import SHARED
from lbkit.recorded import HEDGE, REFRESH, CacheLookup, Relayed, Try
from lbkit.sim.cache_tape import RecordingStore, looked_up
from lbkit.sim.cached import CachingSimulation
from lbkit.sim.impatient import ImpatientSimulation
from lbkit.sim.recording import Recorded
from lbkit.sim.relaying import Connection, RelayingSimulation
from lbkit.sim.retrying import Open, RetryingSimulation
from lbkit.sim.simulation import Simulation
from lbkit.sim.tape import Stay
from lbkit.sim.wasting import WastingSimulation


class RecordedWasting(Recorded, WastingSimulation):
    """Where connections to servers may close before the answer."""

    def hang_up(self, row: int) -> None:
        self.let_go(row, "left" if self.has_left(row) else "cancelled")
        super().hang_up(row)

    def has_left(self, row: int) -> bool:
        """Return whether the client of an attempt has left."""
        return False


class RecordedRetrying(RecordedWasting, RetryingSimulation):
    """Where a request may have several attempts at a time."""

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        self.hedging = False
        self.hedged: set[int] = set()  # rows of attempts that are hedges
        super().__init__(experiment, max_events)

    def hedge(self, copy: int) -> None:
        self.hedging = True
        super().hedge(copy)
        self.hedging = False

    def attempt(self, row: int, request: Open) -> int | None:
        # Its end may let other requests in, whose attempts are no hedges.
        hedging, self.hedging = self.hedging, False
        copy = super().attempt(row, request)
        if hedging and copy is not None:
            self.hedged.add(copy)
        return copy

    def kind(self, stay: Stay, before: list[Stay]) -> str:
        return HEDGE if stay.row in self.hedged else super().kind(stay, before)


class RecordedImpatient(RecordedWasting, ImpatientSimulation):
    """Where clients leave, and try again. `tries` of the Result has the tries of those with several."""

    def has_left(self, row: int) -> bool:
        return self.try_of(row) in self.gone

    def origin(self, row: int) -> int:
        row = self.try_of(row)
        return self.first.get(row, row)

    def _facts(self) -> dict[str, Any]:
        number_of, requests = self.numbers(), self.requests
        rows = sorted(self.first.keys() | set(self.first.values()))
        tries = [Try(number_of[self.origin(r)], requests.arrival[r], requests.end[r]) for r in rows]
        return {**super()._facts(), "tries": tries}


class RecordedCaching(Recorded, CachingSimulation):
    """Where a cache answers, and sends requests of its own. `lookups` and `kept` are in the `extra`."""

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        self.lookups: list[CacheLookup] = []
        super().__init__(experiment, max_events)
        self.store = self.cache.entries = RecordingStore(self.cache, lambda: self.engine.now)

    def decide(self, row: int, visit: Any) -> None:
        now, number = self.engine.now, len(self.lookups)
        self.lookups.append(looked_up(now, row, visit.request, visit.found.verdict, follows=False))
        super().decide(row, visit)
        if visit.follows:
            self.lookups[number] = self.lookups[number]._replace(follows=True)

    def _facts(self) -> dict[str, Any]:
        number_of = self.numbers()
        lookups = [look._replace(request=number_of[self.origin(look.request)]) for look in self.lookups]
        return {**super()._facts(), "lookups": lookups, "kept": self.store.kept}

    def kind(self, stay: Stay, before: list[Stay]) -> str:
        if stay.row in self.background or self.requests.copy_of.get(stay.row) in self.background:
            return REFRESH
        return super().kind(stay, before)


class RecordedRelaying(Recorded, RelayingSimulation):
    """Where the balancer relays connections. `relayed` of the Result has each with its requests."""

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        self.carried: dict[Connection, list[int]] = {}  # rows of the requests on each, in order
        self.closed: dict[Connection, float] = {}
        super().__init__(experiment, max_events)

    def kept_for(self, row: int) -> Connection | None:
        connection = super().kept_for(row)
        if connection:
            self.carried[connection].append(row)
        return connection

    def connect(self, row: int, tried: tuple[Backend, ...]) -> Connection:
        connection = super().connect(row, tried)
        self.carried[connection] = [row]
        return connection

    def end(self, connection: Connection, ok: bool) -> None:
        if connection.open:
            self.closed[connection] = self.engine.now
        super().end(connection, ok)

    def _facts(self) -> dict[str, Any]:
        number_of = self.numbers()
        relayed = [self.relayed(c, [number_of[row] for row in rows]) for c, rows in self.carried.items()]
        return {**super()._facts(), "relayed": relayed}

    def relayed(self, connection: Connection, requests: list[int]) -> Relayed:
        client = -1 if self.rules.connections == SHARED else connection.owner
        server = self.server_of[connection.backend].index
        closed = self.closed.get(connection, nan)
        return Relayed(client, server, connection.since, closed, tuple(requests))


RECORDERS: tuple[tuple[type[Simulation], type[Recorded]], ...] = (
    (CachingSimulation, RecordedCaching),
    (ImpatientSimulation, RecordedImpatient),
    (RetryingSimulation, RecordedRetrying),
    (WastingSimulation, RecordedWasting),
    (RelayingSimulation, RecordedRelaying),
    (Simulation, Recorded),
)


def recorded(plain: type[Simulation]) -> type[Simulation]:
    """Return the class of simulations that are like `plain`, and record."""
    bases = [recorder for base, recorder in RECORDERS if issubclass(plain, base)]
    return type(f"Recorded{plain.__name__}", (*bases, plain), {})

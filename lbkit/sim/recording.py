"""Simulations that record each attempt, and the reasons of the first decisions.

Subclasses record: those of servers know when a request comes and goes, those of simulations when the balancer
gives an attempt up. A simulation that does not record has none of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from functools import partial
from math import inf
from typing import Any

from lbkit.core import AlgorithmError, Backend, NoBackend, Pool
from lbkit.core.attempts import Failure
from lbkit.core.balance.base import Why, restoring
from lbkit.experiment import Experiment
from lbkit.recorded import (
    FIRST,
    HEDGE,
    REFRESH,
    RETRY,
    Attempt,
    CacheLookup,
    Decision,
    Membership,
    Try,
)
from lbkit.sim import kinds
from lbkit.sim.cache_tape import RecordingStore, looked_up
from lbkit.sim.cached import CachingSimulation
from lbkit.sim.impatient import ImpatientSimulation
from lbkit.sim.requests import NOT_PICKED
from lbkit.sim.retrying import LATE, Open, RetryingSimulation
from lbkit.sim.simulation import Simulation
from lbkit.sim.tape import RECORDED, RecordedServer, RecordedSharingServer, Stay, Tape
from lbkit.sim.wasting import WastingSimulation

MOST_DECISIONS = 2_000  # that are explained: as many as one looks at
MOST_MEMBERSHIPS = 2_000

Pick = Callable[[str, float, Collection[Backend], str], Backend]


class Recorded(Simulation):
    """A simulation that records; `attempts`, `decisions` and `demands` are in the `extra` of its Result."""

    servers_by_discipline = RECORDED

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        self.tape = Tape()
        self.decisions: list[Decision] = []
        self.deciding = -1  # the row for which a backend is being picked
        self.picked_by: dict[int, str] = {}  # of each row for which an algorithm has picked by its key
        self.memberships: list[Membership] = []  # of the first balancer
        super().__init__(experiment, max_events)
        for server in self.servers:
            assert isinstance(server, RecordedServer | RecordedSharingServer)
            server.tape = self.tape
        for pool in self.pool.pools:
            # An attribute of this one object, in place of the method of its class.
            vars(pool)["pick"] = partial(self.pick, pool, pool.pick)
        first = self.pool.pools[0]
        self.note_members(first)
        vars(first)["_notify"] = partial(self.note_members, first, first._notify)

    def note_members(self, pool: Pool, notify: Callable[[], object] = lambda: None) -> None:
        """Note the backends that a balancer chooses among, whenever it is notified of them."""
        notify()
        if len(self.memberships) < MOST_MEMBERSHIPS:
            members = tuple((self.by_name[b.name].index, b.weight) for b in pool.eligible)
            self.memberships.append(Membership(self.engine.now, members))

    # -- decisions ----------------------------------------------------------------------------------

    def dispatch(self, row: int, tried: tuple[Backend, ...] = ()) -> None:
        self.deciding = row
        super().dispatch(row, tried)

    def pool_for(self, row: int) -> Any:
        self.deciding = row
        return super().pool_for(row)

    def pick(
        self,
        pool: Pool,
        pick: Pick,
        key: str,
        now: float,
        exclude: Collection[Backend] = (),
        token: str = "",
    ) -> Backend:
        """Pick as `pool` does, and keep the reason."""
        if pool.balancer.keyed:
            self.picked_by[self.deciding] = key
        if len(self.decisions) >= MOST_DECISIONS:
            return pick(key, now, exclude, token)
        why = reason(pool, key, now, exclude, token)
        try:
            backend = pick(key, now, exclude, token)
        except NoBackend as none:
            self.decisions.append(Decision(now, self.deciding, -1, Why(str(none))))
            raise
        self.decisions.append(Decision(now, self.deciding, self.server_of[backend].index, why))
        return backend

    # -- attempts -----------------------------------------------------------------------------------

    def complete(self, row: int) -> None:
        requests = self.requests
        self.tape.end(row, requests.backend[row], requests.start[row], self.engine.now, "ok")
        super().complete(row)

    def fail(self, row: int, failure: Failure, kept: bool = False) -> None:
        self.let_go(row, "timeout" if failure is Failure.ATTEMPT_TIMEOUT else "failed")
        super().fail(row, failure, kept)

    def resend(self, row: int) -> None:
        requests = self.requests
        if requests.lease[row] is not NOT_PICKED:  # its client has not left
            self.tape.send(row, requests.backend[row], requests.since[row])
        super().resend(row)

    def let_go(self, row: int, outcome: str) -> None:
        requests = self.requests
        self.tape.give_up(row, requests.backend[row], requests.since[row], self.engine.now, outcome)

    # -- the result ---------------------------------------------------------------------------------

    def abandon(self, now: float) -> None:
        requests = self.requests
        for row in self.engine.cancel(kinds.RECEIVE, lambda row: True):  # on their way to a server
            self.tape.send(row, requests.backend[row], requests.since[row])
        self.tape.stop(requests.backend, requests.start)
        super().abandon(now)

    def _facts(self) -> dict[str, Any]:
        number_of = self.numbers()
        asks = self.requests.demand
        return {
            **super()._facts(),
            "attempts": self.attempts(number_of),
            "decisions": [d._replace(request=number_of[self.origin(d.request)]) for d in self.decisions],
            "demands": [asks[row] for row in number_of],
            "keys": {number_of[self.origin(row)]: key for row, key in self.picked_by.items()},
            "memberships": self.memberships,
        }

    def attempts(self, number_of: dict[int, int]) -> list[Attempt]:
        """Return all attempts in order of time. `number_of`: the row in the Result, by the row here."""
        found = []
        before: defaultdict[int, list[Stay]] = defaultdict(list)  # by the row of the client's first try
        for stay in sorted(self.tape.stays, key=lambda stay: stay.at):
            origin = self.origin(stay.row)
            kind = self.kind(stay, before[origin])
            before[origin].append(stay)
            end = stay.end if stay.arrived or stay.over == inf else stay.over
            times = stay.at, stay.start, end
            found.append(Attempt(number_of[origin], stay.server, *times, kind, self.outcome(stay)))
        return found

    def kind(self, stay: Stay, before: list[Stay]) -> str:
        """Return what made the balancer send a request to a server, after those `before`."""
        return RETRY if before else FIRST

    def outcome(self, stay: Stay) -> str:
        late = self.requests.status[self.try_of(stay.row)] == LATE
        return "timeout" if late and stay.outcome == "cancelled" else stay.outcome

    # -- rows ---------------------------------------------------------------------------------------

    def try_of(self, row: int) -> int:
        """Return the row of the client's try that a row is about."""
        copy_of = self.requests.copy_of
        while row in copy_of:
            row = copy_of[row]
        return row

    def origin(self, row: int) -> int:
        """Return the row of the request, with its first try, that a row is about."""
        return self.try_of(row)

    def numbers(self) -> dict[int, int]:
        """Return the number in the Result of each row that is a request, in order."""
        rows = range(len(self.requests.arrival))
        return {row: number for number, row in enumerate(r for r in rows if self.origin(r) == r)}


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


RECORDERS: tuple[tuple[type[Simulation], type[Recorded]], ...] = (
    (CachingSimulation, RecordedCaching),
    (ImpatientSimulation, RecordedImpatient),
    (RetryingSimulation, RecordedRetrying),
    (WastingSimulation, RecordedWasting),
    (Simulation, Recorded),
)


def recorded(plain: type[Simulation]) -> type[Simulation]:
    """Return the class of simulations that are like `plain`, and record."""
    bases = [recorder for base, recorder in RECORDERS if issubclass(plain, base)]
    return type(f"Recorded{plain.__name__}", (*bases, plain), {})


def reason(pool: Pool, key: str, now: float, exclude: Collection[Backend], token: str) -> Why:
    """Return why `pool` is going to pick what it picks; the pick stays the same, also of an `explain` that
    draws random numbers."""
    try:
        with restoring(pool.balancer.rng):
            return pool.explain(key, now, exclude, token) or Why("no backend is eligible")
    except AlgorithmError as error:
        return Why(f"no explanation: {error}")

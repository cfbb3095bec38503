"""Simulations that record each attempt, and the reasons of the first decisions.

Subclasses record: those of servers know when a request comes and goes, those of simulations when the balancer
gives an attempt up. A simulation that does not record has none of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from math import inf
from typing import Any

from lbkit.core import AlgorithmError, Backend, NoBackend, Pool
from lbkit.core.attempts import Failure
from lbkit.core.balance.base import Why, restoring
from lbkit.core.state_change import StateChange
from lbkit.experiment import Experiment
from lbkit.recorded import (
    FIRST,
    MOST_MEMBERSHIPS,
    RETRY,
    Attempt,
    Decision,
    Membership,
)
from lbkit.sim import kinds
from lbkit.sim.entrance_tape import RecordedEntrance
from lbkit.sim.requests import NOT_PICKED
from lbkit.sim.retrying import LATE
from lbkit.sim.simulation import Simulation
from lbkit.sim.tallies import RecordedChecks, Tallies
from lbkit.sim.tape import RECORDED, RecordedServer, RecordedSharingServer, Stay, Tape

MOST_DECISIONS = 2_000  # that are explained: as many as one looks at

Pick = Callable[[str, float, Collection[Backend], str], Backend]


class RecordedPool(Pool):
    """A pool whose picks and members a simulation records."""

    recorder: Recorded | None = None  # not while the pool is being made
    is_first = False

    def pick(self, key: str, now: float, exclude: Collection[Backend] = (), token: str = "") -> Backend:
        if self.recorder is None:
            return super().pick(key, now, exclude, token)
        return self.recorder.pick(self, super().pick, key, now, exclude, token)

    def _notify(self) -> None:
        super()._notify()
        if self.recorder is not None and self.is_first:
            self.recorder.note_members(self)


class Recorded(Simulation):
    """A simulation that records; the `extra` of its Result has what `lbkit.recorded.RECORDED` names."""

    servers_by_discipline = RECORDED
    checks_kind = RecordedChecks
    pools_kind = RecordedPool
    tallies: Tallies | None = None
    entrances = RecordedEntrance

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
        for number, pool in enumerate(self.pool.pools):
            assert isinstance(pool, RecordedPool)
            pool.recorder = self
            pool.is_first = number == 0
        self.note_members(self.pool.pools[0])
        numbers = {server.spec.name: server.index for server in self.servers}
        self.tallies = Tallies(self.pool, numbers, self.attempt_policy, self.engine)
        if isinstance(self.checks, RecordedChecks):
            self.checks.tallies = self.tallies

    def changed(self, change: StateChange) -> None:
        super().changed(change)
        if self.tallies:  # not while the pool is being made
            self.tallies.changed(change.backend, change.at)

    def note_members(self, pool: Pool) -> None:
        """Note the backends that a balancer chooses among, whenever it is notified of them."""
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
        assert self.tallies
        assert isinstance(self.entrance, RecordedEntrance)
        passages = self.entrance.passages
        return {
            **super()._facts(),
            **self.tallies.facts(),
            "attempts": self.attempts(number_of),
            "decisions": [d._replace(request=number_of[self.origin(d.request)]) for d in self.decisions],
            "demands": [asks[row] for row in number_of],
            "keys": {number_of[self.origin(row)]: key for row, key in self.picked_by.items()},
            "memberships": self.memberships,
            "passages": [p._replace(request=number_of[self.origin(p.request)]) for p in passages],
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


def reason(pool: Pool, key: str, now: float, exclude: Collection[Backend], token: str) -> Why:
    """Return why `pool` is going to pick what it picks; the pick stays the same, also of an `explain` that
    draws random numbers."""
    try:
        with restoring(pool.balancer.rng):
            return pool.explain(key, now, exclude, token) or Why("no backend is eligible")
    except AlgorithmError as error:
        return Why(f"no explanation: {error}")

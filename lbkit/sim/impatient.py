"""Clients that time out, retry and give up, in virtual time.

Each try has a row of its own, because a server may still be working on an earlier one. The Result has one row
for each request, from its first try to the outcome of the last.
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

from lbkit.core.attempts import Failure
from lbkit.core.vectors import column_of
from lbkit.draws import stream
from lbkit.experiment import Experiment
from lbkit.patience import luck_of
from lbkit.result import COLUMNS, OPTIONAL, good
from lbkit.sim import kinds
from lbkit.sim.engine import Handlers
from lbkit.sim.requests import NAN, NOT_PICKED
from lbkit.sim.retrying import RetryingSimulation
from lbkit.sim.wasting import WastingSimulation

NO_ANSWER = 0


class ImpatientSimulation(WastingSimulation):
    """A simulation in which clients behave as the traffic's `patience` says."""

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        super().__init__(experiment, max_events)
        patience = experiment.traffic.patience
        assert patience
        self.patience = patience
        self.followed = True
        self.pauses = stream(experiment.seed, "backoff")
        self.waiting: set[int] = set()  # rows whose clients wait for an answer
        self.gone: set[int] = set()  # rows whose clients have left
        self.first: dict[int, int] = {}  # row of a later try -> row of the first
        self.last: dict[int, int] = {}  # row of the first try -> row of the last, if there are several
        self.tried: Counter[int] = Counter()  # row of the first try -> tries that have ended
        self.backends_tried: Counter[int] = Counter()  # row of the first try -> attempts of those tries
        self.resent: list[float] = []  # the times of clients' retries
        if self.users is None:
            # A copy, as the column grows by later tries, which must not arrive twice.
            self.engine.feed(column_of(self.requests.arrival), kinds.ARRIVE)

    def _handlers(self) -> Handlers:
        handlers = list(super()._handlers())
        self.reach_entrance = handlers[kinds.ARRIVE]
        handlers[kinds.ARRIVE] = self.sent
        handlers[kinds.LEAVE] = self.leave
        handlers[kinds.AGAIN] = self.again
        return handlers

    # -- clients ----------------------------------------------------------------------------------

    def sent(self, row: int) -> None:
        """Called when a client sends a request, for the first time or again."""
        self.waiting.add(row)
        requests, now = self.requests, self.engine.now
        first = requests.arrival[self.first.get(row, row)]
        self.engine.plan(self.patience.deadline(first, now), kinds.LEAVE, row)
        self.reach_entrance(row)

    def leave(self, row: int) -> None:
        """Close the connection of a client that has timed out."""
        if row not in self.waiting:
            return  # it has got its answer
        self.gone.add(row)
        requests, now = self.requests, self.engine.now
        requests.end[row] = now
        self.entrance.withdraw(row)
        self.withdraw(row)
        self.ended(row, False)

    def withdraw(self, row: int) -> None:
        """Close the connection to the backend that has the request, if there is one."""
        requests = self.requests
        backend = requests.lease[row]
        if backend is not NOT_PICKED:
            requests.lease[row] = NOT_PICKED
            if self.reporting:
                self.reports.failed(backend)
            # This does not count against the backend.
            self.pool.release(backend, requests.since[row], None, self.engine.now)
            self.hang_up(row)

    def ended(self, row: int, ok: bool) -> None:
        """Called when a client has an answer or has left; plans another try, or ends the request."""
        requests, now = self.requests, self.engine.now
        self.waiting.discard(row)
        if row not in self.gone:
            if self.tokens is not None:
                self.tokens.answered(row, now)
            requests.lease[row] = NOT_PICKED
        if self.entrance.leave(row, ok):
            self.admit()
        first = self.first.get(row, row)
        self.tried[first] += 1
        self.backends_tried[first] += requests.attempts[row]
        if row in self.gone or not good(requests.status[row]):
            arrival = requests.arrival[first]
            when = self.patience.next_try(arrival, now, self.tried[first], self.pauses)
            if when is not None:
                self.engine.plan(when, kinds.AGAIN, first)
                return
        if self.users:
            self.users.answered(first)

    def again(self, first: int) -> None:
        """Send a client's request again."""
        requests, now = self.requests, self.engine.now
        if requests.session is not None:
            requests.session.append(requests.session[first])
        luck = luck_of(requests.luck[first], self.tried[first])
        row = requests.add(now, requests.client[first], requests.path[first], requests.demand[first], luck)
        self.first[row], self.last[first] = first, row
        self.resent.append(now)
        self.sent(row)

    # -- events of requests, which are ignored if the client has left ----------------------------------

    def secured(self, row: int) -> None:
        if row not in self.gone:
            super().secured(row)

    def enter(self, row: int) -> None:
        if row not in self.gone:
            super().enter(row)

    def retry(self, row: int) -> None:
        if row not in self.gone:
            super().retry(row)

    def resend(self, row: int) -> None:
        if row not in self.gone:
            super().resend(row)

    def fail(self, row: int, failure: Failure, kept: bool = False) -> None:
        if row not in self.gone:
            super().fail(row, failure, kept)

    def answer(self, row: int) -> None:
        if row not in self.gone:
            super().answer(row)
        else:
            self.waste(row)

    def release(self, row: int) -> None:
        super().release(row)
        self.requests.lease[row] = NOT_PICKED

    # -- the result -------------------------------------------------------------------------------------

    def columns(self) -> dict[str, array[Any]]:
        """Return one row for each request: the time of its first try, and the outcome of its last."""
        tries = self.requests.columns()
        others = self.first.keys() | self.requests.copy_of.keys()
        firsts = [row for row in range(len(tries["arrival"])) if row not in others]
        lasts = [self.last.get(row, row) for row in firsts]
        columns = {
            name: array(code, (tries[name][row] for row in (firsts if name == "arrival" else lasts)))
            for name, code in (COLUMNS | OPTIONAL).items()
            if name in tries
        }
        columns["attempts"] = array("i", (self.backends_tried[first] for first in firsts))
        for i, row in enumerate(lasts):
            if row in self.gone:
                columns["start"][i], columns["service"][i] = NAN, 0.0
                columns["backend"][i], columns["status"][i] = -1, NO_ANSWER
        return columns

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "resent": self.resent}


class ImpatientRetryingSimulation(ImpatientSimulation, RetryingSimulation):
    """A simulation with both: each try of a client is a request for which the balancer makes attempts."""

    def withdraw(self, row: int) -> None:
        if request := self.open.pop(row, None):
            self.requests.attempts[row] = request.attempts
            for copy in list(request.copies):
                self.cancel(copy, request)

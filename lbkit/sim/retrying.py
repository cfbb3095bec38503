"""Simulations under `Policy.retry`: timeouts, hedges, deadlines, and statuses that count as failures.

Several servers may work on copies of a request at a time, and a server continues with a copy that is no
longer needed; that work is wasted. So each attempt has a row of its own, and the request's row gets the
outcome of the attempt that answered. All copies have the same service demand and luck, as on live engines,
where the client sends them along.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from math import inf
from typing import Any

from mypy_extensions import mypyc_attr

from lbkit.core import Backend, NoBackend
from lbkit.core.attempts import SAFE, Attempts, Failure, GiveUp, Kind
from lbkit.core.vectors import column_of
from lbkit.experiment import Experiment
from lbkit.sim import kinds
from lbkit.sim.engine import Handlers
from lbkit.sim.servers import UNAVAILABLE
from lbkit.sim.wasting import WastingSimulation

LATE = 504


class Open:
    """A request that has no answer yet."""

    __slots__ = ("attempts", "copies", "failed", "hedges", "until")

    def __init__(self, until: float) -> None:
        self.until = until  # its deadline
        self.copies: list[int] = []  # rows of the attempts in flight
        self.hedges: list[int] = []  # rows of those sent while another was in flight
        self.attempts = 0  # backends picked
        self.failed: Attempts | None = None


@mypyc_attr(allow_interpreted_subclasses=True)
class RetryingSimulation(WastingSimulation):
    """A simulation that applies the rules of `Policy.retry`."""

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        rules = experiment.policy.retry
        assert rules
        self.rules = rules
        self.open: dict[int, Open] = {}
        super().__init__(experiment, max_events)
        self.attempt_time = rules.timeouts.until_answer if rules.timeouts else inf  # seconds for one attempt
        self.lifetime = inf if rules.deadline is None else rules.deadline  # seconds for a request
        if self.users is None:
            # A copy, as the column grows by attempts, which must not arrive as requests.
            self.engine.feed(column_of(self.requests.arrival), kinds.ARRIVE)

    def _handlers(self) -> Handlers:
        happens: list[Callable[[int], object]] = list(super()._handlers())
        happens[kinds.TIMEOUT] = self.time_out
        happens[kinds.HEDGE] = self.hedge
        happens[kinds.DEADLINE] = self.miss
        return happens

    def columns(self) -> dict[str, array[Any]]:
        """Return the rows of requests, without those of attempts."""
        return self.requests.without_copies(super().columns())

    # -- a request ---------------------------------------------------------------------------------

    def dispatch(self, row: int, tried: tuple[Backend, ...] = ()) -> None:
        """Send the first attempt of a request; its deadline counts from its arrival."""
        now = self.engine.now
        request = self.open[row] = Open(self.requests.arrival[row] + self.lifetime)
        self.attempt_policy.began(now)
        if request.until <= now:
            self.miss(row)
            return
        if request.until < inf:
            self.engine.plan(request.until, kinds.DEADLINE, row)
        self.attempt(row, request)

    def retry(self, row: int) -> None:
        if request := self.open.get(row):
            self.attempt(row, request)

    def miss(self, row: int) -> None:
        """Called at a request's deadline, which does not count against the backends working on it."""
        if request := self.open.get(row):
            slow = self.requests.lease[request.copies[0]] if request.copies else None
            self.attempt_policy.note(Kind.DEADLINE, self.engine.now, slow)
            self.give_up(row, request, LATE)

    def give_up(self, row: int, request: Open, status: int) -> None:
        """Answer a request with the balancer's own answer."""
        for copy in list(request.copies):
            self.cancel(copy, request)
        del self.open[row]
        self.requests.attempts[row] = request.attempts
        if fallback := self.rules.fallback:
            self.attempt_policy.note(Kind.FALLBACK, self.engine.now)
            status = fallback.status
        self.reply(row, status)

    # -- its attempts ------------------------------------------------------------------------------

    def attempt(self, row: int, request: Open) -> int | None:
        """Send a copy of a request to another backend; return the attempt's row, or None if there is none."""
        requests, now = self.requests, self.engine.now
        tried = self.asked_so_far(request)
        token = "" if self.tokens is None else self.tokens.of(row)
        try:
            backend = self.pool_for(row).pick(self.key_names[self.keys[row]], now, tried, token)
        except NoBackend:
            if not request.copies:
                self.give_up(row, request, request.failed.status if request.failed else UNAVAILABLE)
            return None
        server = self.server_of[backend]
        copy = requests.copy(row)
        request.copies.append(copy)
        request.attempts += 1
        requests.attempts[row] = request.attempts
        requests.lease[copy] = backend
        requests.since[copy] = now
        requests.backend[copy] = server.index
        if self.reporting:
            self.reports.picked(backend)
        if self.attempt_time < inf:
            self.engine.plan(now + self.attempt_time, kinds.TIMEOUT, copy)
        if self.rules.hedge and not token:  # only a session's own backend has its state
            self.engine.plan(now + self.rules.hedge.after, kinds.HEDGE, copy)
        if server.delay:
            self.engine.plan(now + server.delay_of(copy), kinds.RECEIVE, copy)
        elif outcome := server.receive(copy):
            self.send_back(copy, server, outcome)
        return copy

    def asked_so_far(self, request: Open) -> tuple[Backend, ...]:
        """Return the backends that have, or have had, a copy of a request."""
        failed = request.failed.tried if request.failed else ()
        return failed + tuple(self.requests.lease[copy] for copy in request.copies)

    def under_way(self, copy: int) -> tuple[int, Open] | None:
        """Return the row and the state of the request that waits for an attempt; None if it has ended."""
        row = self.requests.copy_of[copy]
        request = self.open.get(row)
        return (row, request) if request and copy in request.copies else None

    def end_attempt(self, copy: int, request: Open, ok: bool | None) -> None:
        """Remove an attempt from its request, and release its lease."""
        request.copies.remove(copy)
        backend = self.requests.lease[copy]
        if self.reporting:
            self.reports.failed(backend)
        self.pool.release(backend, self.requests.since[copy], ok, self.engine.now)

    def cancel(self, copy: int, request: Open) -> None:
        """Close an attempt's connection; this does not count against its backend."""
        self.end_attempt(copy, request, None)
        self.hang_up(copy)

    def hedge(self, copy: int) -> None:
        """Send another copy of a request that has a slow attempt."""
        if not (found := self.under_way(copy)):
            return
        row, request = found
        policy, now, slow = self.attempt_policy, self.engine.now, self.requests.lease[copy]
        may = self.requests.method(row) in SAFE and self.pool_for(row).has_other(self.asked_so_far(request))
        if may and policy.may_hedge(len(request.hedges), now, slow):
            hedge = self.attempt(row, request)
            if hedge is not None:
                policy.note(Kind.HEDGE, now, slow)
                request.hedges.append(hedge)

    def time_out(self, copy: int) -> None:
        """Called when an attempt has timed out."""
        if self.under_way(copy):
            self.fail(copy, Failure.ATTEMPT_TIMEOUT)
            self.hang_up(copy)

    def fail(self, copy: int, failure: Failure, kept: bool = False) -> None:
        """Called when an attempt has failed."""
        if not (found := self.under_way(copy)):
            return
        row, request = found
        backend = self.requests.lease[copy]
        if request.failed is None:
            has_other = self.pool_for(row).has_other
            request.failed = Attempts(self.attempt_policy, self.safe(row), request.until, has_other)
        if len(request.copies) > 1:
            request.failed.failed(failure, backend, self.engine.now)
            self.end_attempt(copy, request, False)
            return
        step = request.failed.after(failure, backend, kept, self.engine.now)
        if not isinstance(step, GiveUp) and step.backend:
            self.resend(copy)  # under the same lease
        elif not isinstance(step, GiveUp):
            self.end_attempt(copy, request, False)
            self.engine.plan(self.engine.now + step.delay, kinds.RETRY, row)
        elif failure is Failure.STATUS:
            self.take(row, request, copy)
        else:
            self.end_attempt(copy, request, False)
            self.give_up(row, request, step.status)

    def answer(self, copy: int) -> None:
        """Called when an answer arrives at the balancer."""
        if not (found := self.under_way(copy)):
            self.waste(copy)
        elif self.requests.status[copy] in self.rules.statuses:
            self.fail(copy, Failure.STATUS)
        else:
            row, request = found
            self.take(row, request, copy)

    def take(self, row: int, request: Open, copy: int) -> None:
        """Pass an attempt's answer to the client, and cancel the other attempts."""
        requests, now = self.requests, self.engine.now
        requests.start[row], requests.end[row] = requests.start[copy], now
        requests.service[row], requests.status[row] = requests.service[copy], requests.status[copy]
        requests.backend[row], requests.lease[row] = requests.backend[copy], requests.lease[copy]
        ok = requests.status[row] < 500
        request.copies.remove(copy)
        backend, since = requests.lease[copy], requests.since[copy]
        if self.reporting:
            self.reports.answered(backend, now - since, ok)
        self.pool.release(backend, since, ok, now)
        for other in list(request.copies):
            self.cancel(other, request)
        del self.open[row]
        if copy in request.hedges:
            self.attempt_policy.note(Kind.HEDGE_WON, now, backend)
        if self.followed:
            self.ended(row, ok)

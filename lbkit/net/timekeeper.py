"""How long an exchange waits, by its policy's rules for attempts, and the further copies of its request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from lbkit.core import Backend, NoBackend
from lbkit.core.attempts import SAFE, Again, AttemptPolicy, Failure, GiveUp, Kind
from lbkit.core.retry import AttemptTimeouts, Retry
from lbkit.net import deadline
from lbkit.net.hedge import Attempting, Copy
from lbkit.net.messages import Answer, ResponseHead

UNLIMITED = AttemptTimeouts()
LATE = 504


class Timekeeper:
    """Made with an exchange where `Policy.retry` is given; without it an exchange pays nothing.

    The timers: for the request's deadline, and for the present attempt its first byte, its end, and the next
    hedge."""

    __slots__ = ("_hedge", "_timers", "copies", "exchange", "hedged", "policy", "rules", "timeouts", "until")

    def __init__(self, exchange: Attempting, policy: AttemptPolicy, rules: Retry) -> None:
        """Raises Reject for a deadline in the request's head that is none."""
        self.exchange = exchange
        self.policy = policy
        self.rules = rules
        self.timeouts = rules.timeouts or UNLIMITED
        self.until = inf  # the request's deadline
        self.copies: list[Copy] = []  # hedges under way
        self.hedged = 0  # copies sent so far
        self._timers: dict[str, asyncio.TimerHandle] = {}
        request = exchange.request
        # Two at once only of what changes nothing, and is there in full.
        self._hedge = rules.hedge if request.method in SAFE and request.length == 0 else None
        if request.upgrade:
            self._hedge = None
        if rules.deadline is not None:
            left = min(rules.deadline, deadline.asked(request.data))
            self.until = exchange.began + left
            self._arm("deadline", left, self._late)

    def _arm(self, name: str, seconds: float | None, then: Callable[[], None]) -> None:
        """Start a timer anew; None: there is no limit."""
        self._disarm(name)
        if seconds is not None:
            self._timers[name] = asyncio.get_running_loop().call_later(max(0.0, seconds), then)

    def _disarm(self, *names: str) -> None:
        for name in names:
            if timer := self._timers.pop(name, None):
                timer.cancel()

    # -- the exchange tells it ---------------------------------------------------------------------

    def failed(self) -> None:
        """The present attempt is over."""
        self._disarm("total", "first byte", "hedge")

    def starts(self, now: float) -> bool:
        """An attempt starts; False: it is too late for that, and the client has its answer."""
        exchange = self.exchange
        if not exchange.attempts:
            self.policy.began(now)
        if now >= self.until:
            self._late()
            return False
        self._arm("total", self.timeouts.total, self._attempt_over)
        # The state of a session is on its own backend.
        if self._hedge and self.hedged < self._hedge.most and not exchange.token:
            self._arm("hedge", self._hedge.after, self._hedge_due)
        return True

    def limit_attempt(self, seconds: float) -> None:
        """Give the present attempt this time from now on."""
        self._arm("total", seconds, self._attempt_over)

    def renews(self) -> None:
        """The same backend gets the request once more, on a new connection."""
        self._arm("total", self.timeouts.total, self._attempt_over)

    def sends(self, now: float) -> None:
        """The request goes out on a connection."""
        request = self.exchange.request
        if self.until < inf:
            request.data = deadline.stamped(request.data, max(0.0, self.until - now))
        self._arm("first byte", self.timeouts.first_byte, self._no_first_byte)

    def completed(self) -> None:
        """The request's body is there to its end."""
        if self.exchange._connection:
            self._arm("first byte", self.timeouts.first_byte, self._no_first_byte)

    def takes(self, head: ResponseHead) -> bool:
        """An answer begins; False: it counts as a failure, and the request is sent again."""
        exchange = self.exchange
        if head.status in self.rules.statuses:
            connection = exchange._connection
            if self.replaces(Failure.STATUS):
                step: Again | GiveUp | None = None
            else:
                step = exchange._next_step(Failure.STATUS, False)
            if not isinstance(step, GiveUp):
                if connection:
                    connection.close()
                if step:
                    self._disarm("total", "first byte", "hedge")
                    exchange._connection = None
                    exchange._go_on(step)
                return False
        self._disarm("first byte", "hedge")
        self._cancel_copies()
        return True

    def replaces(self, failure: Failure) -> bool:
        """The first attempt has failed: whether another copy takes its place."""
        if not self.copies:
            return False
        self._disarm("total", "first byte")
        exchange = self.exchange
        assert exchange.lease
        if exchange._task:
            exchange._task.cancel()
        now = exchange.service.now()
        exchange._attempts_so_far().failed(failure, exchange.lease.backend, now)
        exchange._release(False, now)
        self.copies.pop(0).becomes_first()
        return True

    def cut(self, backend: Backend) -> None:
        """A backend has no more time: the copy that it has is lost."""
        for copy in [copy for copy in self.copies if copy.lease.backend is backend]:
            copy.lost(Failure.CLOSED_UNANSWERED, False)

    def own_answer(self, status: int) -> Answer:
        """Return what the client gets when no attempt is left."""
        fallback = self.rules.fallback
        if fallback is None or self.exchange.request.method not in (b"GET", b"HEAD"):
            return Answer(status)
        self.policy.note(Kind.FALLBACK, self.exchange.service.now())
        kind = fallback.content_type.encode("ascii")
        return Answer(fallback.status, body=fallback.body.encode(), content_type=kind)

    def end(self) -> None:
        """Nothing is waited for any more."""
        self._disarm(*list(self._timers))
        self._cancel_copies()

    # -- timers ------------------------------------------------------------------------------------

    def _late(self) -> None:
        """The deadline is the client's choice, so nothing is learned about the backend."""
        lease = self.exchange.lease
        self.policy.note(Kind.DEADLINE, self.exchange.service.now(), lease.backend if lease else None)
        self.exchange.answer_with(self.own_answer(LATE), None)

    def _no_first_byte(self) -> None:
        if self.exchange._complete:  # while the client is still sending, no backend can answer
            self._attempt_over()

    def _attempt_over(self) -> None:
        """The first attempt has taken its time."""
        exchange = self.exchange
        connection, exchange._connection = exchange._connection, None
        if connection:
            connection.close()
        task, exchange._task = exchange._task, None
        if task:
            task.cancel()
        exchange._failed(Failure.ATTEMPT_TIMEOUT, False)

    def _hedge_due(self) -> None:
        """No answer yet: send another copy, if another backend and the budget allow it."""
        exchange, hedge = self.exchange, self._hedge
        assert hedge
        service = exchange.service
        now = service.now()
        if exchange.lease is None or not self.policy.may_hedge(self.hedged, now, exchange.lease.backend):
            return
        tried = exchange._plan.tried if exchange._plan else ()
        under_way = (exchange.lease.backend, *(copy.lease.backend for copy in self.copies))
        try:
            lease = service.pool.acquire(
                service.key(exchange.request), now, tried + under_way, service.explain
            )
        except NoBackend:
            return
        except Exception:
            service.fault("picking a backend for a hedge failed")
            return
        self.hedged += 1
        self.policy.note(Kind.HEDGE, now, exchange.lease.backend)
        exchange.attempts += 1
        if service.pool.wants_reports:
            service.reports.picked(lease.backend, now)
        if self.hedged < hedge.most:
            self._arm("hedge", hedge.after, self._hedge_due)
        self.copies.append(copy := Copy(self, lease, now))
        copy.start()

    def _cancel_copies(self) -> None:
        copies, self.copies = self.copies, []
        for copy in copies:
            copy.cancel()

    def won(self, winner: Copy, answered: bool) -> None:
        """A copy has the first answer; `answered`: all of it is there."""
        exchange = self.exchange
        self.copies.remove(winner)
        now = exchange.service.now()
        self.policy.note(Kind.HEDGE_WON, now, winner.lease.backend)
        self._disarm("total", "first byte", "hedge")
        if exchange._connection:
            exchange._connection.close()
        if exchange._task:
            exchange._task.cancel()
            exchange._task = None
        exchange._release(None, now)
        winner.becomes_first()
        if answered:
            exchange._connection = None

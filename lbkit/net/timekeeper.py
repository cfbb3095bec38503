"""The timers of an exchange under `Policy.retry`: deadline, attempt timeouts and hedges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from mypy_extensions import mypyc_attr

from lbkit.core import Backend, NoBackend
from lbkit.core.attempts import SAFE, Again, AttemptPolicy, Failure, GiveUp, Kind
from lbkit.core.retry import AttemptTimeouts, Retry
from lbkit.net import deadline
from lbkit.net.alarms import Alarm
from lbkit.net.hedge import Attempting, Copy
from lbkit.net.messages import Answer, ResponseHead
from lbkit.net.service import Step

UNLIMITED = AttemptTimeouts()
LATE = 504


@mypyc_attr(allow_interpreted_subclasses=True)
class Timekeeper:
    """Applies the timeouts and hedges of `Policy.retry` to one exchange. Without such rules there is none.

    It has one timer for the request's deadline, and for the current attempt one each for the first byte, the
    end, and the next hedge."""

    __slots__ = ("_hedge", "_timers", "copies", "exchange", "hedged", "policy", "rules", "timeouts", "until")

    def __init__(self, exchange: Attempting, policy: AttemptPolicy, rules: Retry) -> None:
        """Raises Reject for a malformed deadline in the request's head."""
        self.exchange = exchange
        self.policy = policy
        self.rules = rules
        self.timeouts = rules.timeouts or UNLIMITED
        self.until = inf  # the request's deadline
        self.copies: list[Copy] = []  # hedges in flight
        self.hedged = 0  # copies sent so far
        self._timers: dict[str, Alarm | asyncio.TimerHandle] = {}
        request = exchange.request
        # Only a safe request without a body may be in flight twice.
        self._hedge = rules.hedge if request.method in SAFE and request.length == 0 else None
        if request.upgrade:
            self._hedge = None
        if rules.deadline is not None:
            left = min(rules.deadline, deadline.client_timeout(request.data))
            self.until = exchange.began + left
            self._arm("deadline", left, self._late, usual=left == rules.deadline)

    def _arm(self, name: str, seconds: float | None, then: Callable[[], None], usual: bool = True) -> None:
        """Restart a timer; with None there is no limit. `usual`: a length of the policy's."""
        self._disarm(name)
        if seconds is None:
            return
        if usual:
            self._timers[name] = self.exchange.service.alarms.set(seconds, then)
        else:
            self._timers[name] = asyncio.get_running_loop().call_later(max(0.0, seconds), then)

    def _disarm(self, *names: str) -> None:
        for name in names:
            if timer := self._timers.pop(name, None):
                timer.cancel()

    # -- called by the exchange --------------------------------------------------------------------

    def failed(self) -> None:
        """Called when the current attempt has failed."""
        self._disarm("total", "first byte", "hedge")

    def starts(self, now: float) -> bool:
        """Called when an attempt starts. Returns False, after a 504, if the deadline has passed."""
        exchange = self.exchange
        if not exchange.attempts:
            self.policy.began(now)
        if now >= self.until:
            self._late()
            return False
        self._arm("total", self.timeouts.total, self._attempt_over)
        # Only a session's own backend has its state.
        if self._hedge and self.hedged < self._hedge.max_copies and not exchange.token:
            self._arm("hedge", self._hedge.after, self._hedge_due)
        return True

    def takes_over(self, elapsed: float) -> None:
        """Called when a copy becomes the current attempt, `elapsed` seconds after it was sent."""
        total, first_byte = self.timeouts.total, self.timeouts.first_byte
        left = None if total is None else total - elapsed
        self._arm("total", left, self._attempt_over, usual=False)
        left = None if first_byte is None else first_byte - elapsed
        self._arm("first byte", left, self._no_first_byte, usual=False)

    def renews(self) -> None:
        """Called when the same backend gets the request again, on a new connection."""
        self._arm("total", self.timeouts.total, self._attempt_over)

    def sends(self, now: float) -> None:
        """Called when the request is sent on a connection."""
        request = self.exchange.request
        if self.until < inf:
            request.data = deadline.stamped(request.data, max(0.0, self.until - now))
        self._arm("first byte", self.timeouts.first_byte, self._no_first_byte)

    def completed(self) -> None:
        """Called when the request's body is complete."""
        if self.exchange._connection:
            self._arm("first byte", self.timeouts.first_byte, self._no_first_byte)

    def takes(self, head: ResponseHead) -> bool:
        """Called when an answer begins. Returns False if it is a failure and the request is sent again."""
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
        """Return whether a hedge takes the place of the first attempt, which has failed."""
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
        """Called when a backend's time to drain is over: its copy of the request is lost."""
        for copy in [copy for copy in self.copies if copy.lease.backend is backend]:
            copy.lost(Failure.CLOSED_UNANSWERED, False)

    def own_answer(self, status: int) -> Answer:
        """Return the answer for the client when no attempt is left."""
        fallback = self.rules.fallback
        if fallback is None or self.exchange.request.method not in (b"GET", b"HEAD"):
            return Answer(status)
        self.policy.note(Kind.FALLBACK, self.exchange.service.now())
        kind = fallback.content_type.encode("ascii")
        return Answer(fallback.status, body=fallback.body.encode(), content_type=kind)

    def end(self) -> None:
        """Cancel all timers and copies."""
        self._disarm(*list(self._timers))
        self._cancel_copies()

    # -- timers ------------------------------------------------------------------------------------

    def _late(self) -> None:
        """Answer 504. The deadline is the client's choice, so it does not count against the backend."""
        lease = self.exchange.lease
        self.policy.note(Kind.DEADLINE, self.exchange.service.now(), lease.backend if lease else None)
        self.exchange.answer_with(self.own_answer(LATE), None)

    def _no_first_byte(self) -> None:
        if self.exchange._complete:  # a backend cannot answer while the client is still sending
            self._attempt_over()

    def _attempt_over(self) -> None:
        """Give the first attempt up: it has timed out."""
        exchange = self.exchange
        connection, exchange._connection = exchange._connection, None
        if connection:
            connection.close()
        task, exchange._task = exchange._task, None
        if task:
            task.cancel()
        exchange._failed(Failure.ATTEMPT_TIMEOUT, False)

    def _hedge_due(self) -> None:
        """Send another copy, if there is another backend and the budget allows it."""
        exchange, hedge = self.exchange, self._hedge
        assert hedge
        service = exchange.service
        now = service.now()
        if exchange.lease is None:
            return
        slow = exchange.lease.backend
        tried = exchange._plan.tried if exchange._plan else ()
        tried += (slow, *[copy.lease.backend for copy in self.copies])
        # In this order, as a hedge that cannot be sent must not be taken from the budget.
        if not (exchange.pool.has_other(tried) and self.policy.may_hedge(self.hedged, now, slow)):
            return
        try:
            lease = exchange.pool.acquire(service.key(exchange.request), now, tried, service.explain)
        except NoBackend:
            return
        except Exception:
            service.fault("picking a backend for a hedge failed")
            return
        self.hedged += 1
        self.policy.note(Kind.HEDGE, now, slow)
        exchange.attempts += 1
        if service.on_attempt:
            service.attempt(exchange, Step.PICKED, lease, True)
        if service.pool.wants_reports:
            service.reports.picked(lease.backend, now)
        if self.hedged < hedge.max_copies:
            self._arm("hedge", hedge.after, self._hedge_due)
        self.copies.append(copy := Copy(self, lease, now))
        copy.start()

    def _cancel_copies(self) -> None:
        copies, self.copies = self.copies, []
        for copy in copies:
            copy.cancel()

    def won(self, winner: Copy, answered: bool) -> None:
        """Called when a copy has the first answer; `answered`: it is complete."""
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

"""Admission: limits the number and the rate of requests to the backends, and queues or rejects the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from math import ceil
from time import monotonic

from lbkit.core.gate import Refusal, Refused
from lbkit.core.queues import Item
from lbkit.edge import UNAVAILABLE, Admission
from lbkit.net.filters.base import Filter
from lbkit.net.messages import HOLD, Answer, ExchangeView, Hold

TICK = 0.001  # seconds, the resolution of uvloop's timers

AGAIN = 0.05  # seconds before a limiter that raised is called again

WORDS = {
    Refusal.SHED: "overloaded: requests of {priority} priority are rejected",
    Refusal.FULL: "overloaded: the queue is full",
    Refusal.LATE: "overloaded: no turn within {timeout:g} s",
    Refusal.DELAYED: "overloaded: the queueing delay is too long",
    Refusal.FAILING: "too many requests fail",
}


class _Visit:
    """The filter's state of one exchange."""

    __slots__ = ("entered", "item", "outcome", "timer")

    def __init__(self, item: Item) -> None:
        self.item: Item | None = item  # set while it waits
        self.entered: float | None = None  # when it was admitted; set while its backend works on it
        self.timer: asyncio.TimerHandle | None = None  # fires when it has waited too long
        self.outcome: Answer | Hold | None = HOLD  # the return value of `on_request`, while that runs


class AdmissionFilter(Filter):
    """Applies an Admission: lbkit.core.gate decides, the filter has the timers."""

    name = "admission"

    def __init__(self, admission: Admission) -> None:
        self.settings = admission
        # The bucket needs room for requests that arrive while a timer is late, or the rate is never reached.
        self.gate = admission.gate(slack=TICK)
        self.read = admission.read()
        self._timer: asyncio.TimerHandle | None = None
        self._arriving: ExchangeView | None = None  # the exchange whose `on_request` is running
        self._serving = False

    def state(self) -> Mapping[str, float]:
        """Return the requests running and waiting, the current limit, and the refusals by reason."""
        return self.gate.state()

    def on_request(self, exchange: ExchangeView, now: float) -> Answer | Hold | None:
        visit = exchange.state[self.index] = _Visit(self.read(exchange.request, exchange, now))
        assert visit.item
        before, self._arriving = self._arriving, exchange
        try:
            if refused := self.gate.enter(visit.item, now):
                self._refuse(refused)
            self._serve(now)
        finally:
            self._arriving = before
        if visit.outcome is HOLD:
            timeout = self.settings.timeout
            visit.timer = asyncio.get_running_loop().call_later(timeout, self._late, exchange, visit)
        return visit.outcome

    def on_origin_done(self, exchange: ExchangeView, ok: bool | None, now: float) -> None:
        """Free the request's place, though a slow client may still be reading the answer."""
        visit: _Visit | None = exchange.state[self.index]
        if visit is None:
            return
        if visit.timer:
            visit.timer.cancel()
            visit.timer = None
        if visit.item:
            item, visit.item = visit.item, None
            self.gate.leave(item)
        elif visit.entered is not None:
            latency, visit.entered = now - visit.entered, None
            try:
                self.gate.done(now, latency, ok)
            finally:
                self._serve(now)
            return
        else:
            return
        self._serve(now)

    def _serve(self, now: float) -> None:
        """Admit the requests that there is room for."""
        if self._serving:
            return  # an admitted request has ended already: the loop below continues
        self._serving = True
        try:
            while found := self.gate.next(now):
                if isinstance(found, Refused):
                    self._refuse(found)
                else:
                    self._admit(found.what, now)
        finally:
            self._serving = False
        wake = self.gate.wake_at(now)
        if wake is not None:
            self._wake_in(wake - now)

    def _admit(self, exchange: ExchangeView, now: float) -> None:
        visit: _Visit = exchange.state[self.index]
        visit.item, visit.entered = None, now
        if visit.timer:
            visit.timer.cancel()
            visit.timer = None
        if exchange is self._arriving:
            visit.outcome = None
        else:
            exchange.proceed(now)

    def _refuse(self, refused: Refused) -> None:
        exchange: ExchangeView = refused.item.what
        visit: _Visit = exchange.state[self.index]
        visit.item = None
        words = WORDS[refused.why].format(priority=refused.item.priority, timeout=self.settings.timeout)
        again = b"Retry-After: %d\r\n" % max(1, ceil(self.settings.timeout))
        answer = Answer(UNAVAILABLE, words, again)
        if exchange is self._arriving:
            visit.outcome = answer
        else:
            exchange.answer_with(answer)

    def _late(self, exchange: ExchangeView, visit: _Visit) -> None:
        visit.timer = None
        if visit.item:
            try:
                refused = self.gate.late(visit.item)
            except Exception:  # a learner's queue or limiter may raise anything
                visit.item = None
                exchange.failed(self)
            else:
                self._refuse(refused)

    def _wake_in(self, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()  # it may belong to a stopped loop, and then never fires
        self._timer = asyncio.get_running_loop().call_later(max(TICK, seconds), self._wake)

    def _wake(self) -> None:
        try:
            self._serve(monotonic())
        except Exception:  # a learner's limiter may raise anything
            self.fault(f"{self.name} failed")
            self._wake_in(AGAIN)

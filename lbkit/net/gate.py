"""How many requests go to the backends at once and how fast; who waits for that, and who is turned away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from math import ceil
from typing import TYPE_CHECKING

from lbkit.core.gate import Refusal, Refused
from lbkit.edge import UNAVAILABLE, Admission

if TYPE_CHECKING:
    from lbkit.net.exchange import Exchange

TICK = 0.001  # seconds: the loop's clock knows nothing shorter (uvloop)

WORDS = {
    Refusal.SHED: "busy, and this is of {priority} priority",
    Refusal.FULL: "busy, and as many wait as may",
    Refusal.LATE: "waited {timeout:g} s for its turn",
}


class Gate:
    """Lets requests through as an Admission says; lbkit.core.gate decides, this has the timers."""

    def __init__(self, admission: Admission) -> None:
        self.settings = admission
        # What comes in while a timer is late must find a place in the bucket, or the rate is never reached.
        self.decides = admission.gate(slack=TICK)
        self.read = admission.read()
        self._timer: asyncio.TimerHandle | None = None
        self._serving = False

    def state(self) -> Mapping[str, float]:
        """What runs and waits, the limit as it is now, and how many were refused, by reason."""
        return self.decides.state()

    def enter(self, exchange: Exchange, now: float) -> None:
        """Start it, now or when it is its turn, or have it answered 503."""
        exchange.waiting = item = self.read(exchange.request, exchange, now)
        if refused := self.decides.enter(item, now):
            self._refuse(refused)
        self._serve(now)
        if exchange.waiting:
            exchange.held = asyncio.get_running_loop().call_later(self.settings.timeout, self._late, exchange)

    def leave(self, exchange: Exchange, ok: bool | None, now: float) -> None:
        """It is over, wherever it was."""
        if exchange.waiting:
            item, exchange.waiting = exchange.waiting, None
            self.decides.leave(item)
        elif exchange.entered is not None:
            latency, exchange.entered = now - exchange.entered, None
            self.decides.done(now, latency, ok)
        else:
            return
        self._serve(now)

    def _serve(self, now: float) -> None:
        """Start whom there is a place for."""
        if self._serving:
            return  # one that was started here is over already: the loop below goes on
        self._serving = True
        try:
            while found := self.decides.next(now):
                if isinstance(found, Refused):
                    self._refuse(found)
                    continue
                exchange: Exchange = found.what
                exchange.waiting, exchange.entered = None, now
                exchange.go(now)
        finally:
            self._serving = False
        wake = self.decides.wake_at(now)
        if wake is not None:
            self._wake_in(wake - now)

    def _wake_in(self, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()  # or it is a stopped loop's, and would never ring
        self._timer = asyncio.get_running_loop().call_later(max(TICK, seconds), self._wake)

    def _wake(self) -> None:
        self._serve(asyncio.get_running_loop().time())

    def _late(self, exchange: Exchange) -> None:
        if exchange.waiting:
            self._refuse(self.decides.late(exchange.waiting))

    def _refuse(self, refused: Refused) -> None:
        exchange: Exchange = refused.item.what
        exchange.waiting = None
        exchange.fields += b"Retry-After: %d\r\n" % ceil(self.settings.timeout)
        words = WORDS[refused.why].format(priority=refused.item.priority, timeout=self.settings.timeout)
        exchange.fail(UNAVAILABLE, words)

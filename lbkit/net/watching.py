"""What happens to requests, kept while somebody watches: a share of all requests, each of them whole.

A proxy that is watched makes other exchanges for this share, which write down what happens to them. So all
other requests, and a proxy that is not watched, pay nothing for it.
"""

from __future__ import annotations

import random
from collections import deque
from math import log, log1p

from lbkit.core import Lease
from lbkit.net.exchange import Exchange
from lbkit.net.http1.listener import Listener
from lbkit.net.messages import Client, Handler, Incoming, RequestHead, ResponseHead
from lbkit.net.service import Service
from lbkit.net.timekeeper import Timekeeper

NEVER = 1 << 60
MOST = 4000  # requests that wait to be fetched; the oldest are lost first


class SeenAttempt:
    """An attempt at a backend. `ended`: when the proxy was done with it; None while it runs."""

    __slots__ = ("at", "ended", "head", "hedge", "lease", "ok")

    def __init__(self, lease: Lease, at: float, hedge: bool = False) -> None:
        self.lease = lease
        self.at = at
        self.hedge = hedge
        self.head: ResponseHead | None = None
        self.ok: bool | None = None  # as the backend's health sees it
        self.ended: float | None = None


class Seen:
    """A request, as far as it has come; read in other threads while it goes on. Times are the loop's."""

    __slots__ = ("attempts", "began", "ended", "left", "ok", "request", "status")

    def __init__(self, request: RequestHead, began: float) -> None:
        self.request = request
        self.began = began
        self.attempts: list[SeenAttempt] = []
        self.status = 0
        self.ok: bool | None = None  # False: the answer was cut off
        self.left = False  # its client has gone
        self.ended: float | None = None  # set last


class WatchedTimekeeper(Timekeeper):
    __slots__ = ()

    def _hedge_due(self) -> None:
        before = self.hedged
        super()._hedge_due()
        if self.hedged > before and isinstance(self.exchange, WatchedExchange):
            copy = self.copies[-1]
            self.exchange.seen.attempts.append(SeenAttempt(copy.lease, copy.since, hedge=True))


class WatchedExchange(Exchange):
    """An exchange that writes down what happens to it."""

    __slots__ = ("seen",)
    keeper = WatchedTimekeeper

    def __init__(self, service: Service, request: RequestHead, client: Client, now: float) -> None:
        super().__init__(service, request, client, now)
        self.seen = Seen(request, now)

    def _start(self, now: float) -> None:
        before = self.lease
        super()._start(now)
        lease = self.lease
        if lease is not None and lease is not before:
            self.seen.attempts.append(attempt := SeenAttempt(lease, now))
            if lease.released:  # it has failed at once
                attempt.ok, attempt.ended = False, now

    def _attempt(self) -> SeenAttempt | None:
        """Return the one that the exchange follows: the last, but for a hedge."""
        lease, attempts = self.lease, self.seen.attempts
        if attempts and attempts[-1].lease is lease:
            return attempts[-1]
        return next((one for one in attempts if one.lease is lease), None)

    def answer(self, head: ResponseHead, data: bytes, end: bool) -> None:
        if attempt := self._attempt():
            attempt.head = head
        super().answer(head, data, end)

    def _release(self, ok: bool | None, now: float) -> None:
        super()._release(ok, now)
        attempt = self._attempt()
        if attempt and attempt.ended is None:
            attempt.ok, attempt.ended = ok, now

    def client_gone(self) -> None:
        self.seen.left = True
        super().client_gone()

    def _end(self, ok: bool | None, now: float) -> None:
        seen = self.seen
        super()._end(ok, now)
        if seen.ended is None:
            seen.status, seen.ok = self.status if self._started else 0, ok
            seen.ended = now


class Watch:
    """The handler of requests of a proxy that is watched, until `end`: it makes their exchanges.

    `begun` has the requests that were written down and that have not been fetched yet."""

    def __init__(self, service: Service, listener: Listener) -> None:
        """It takes the place of another watch."""
        self.begun: deque[Seen] = deque(maxlen=MOST)
        self._service, self._listener = service, listener
        plain = listener.handle
        self._plain: Handler = plain._plain if isinstance(plain, Watch) else plain
        self._chance = random.Random().random
        self._share = 1.0
        self._skip = 0  # requests to come that are not written down
        self._until = 1  # requests by the time that the next one is
        self.room = MOST
        listener.handle = self

    def end(self) -> None:
        """Leave the proxy as it was. Safe to repeat."""
        if self._listener.handle is self:
            self._listener.handle = self._plain

    @property
    def requests(self) -> int:
        """The number of all requests so far."""
        return self._until - self._skip - 1

    @property
    def share(self) -> float:
        """The share of requests that are written down, chosen by chance: where three servers take turns,
        every third request would always go to the same one."""
        return self._share

    def let(self, share: float, room: int) -> None:
        """Write down this share from now on, and at most `room` requests until the next call."""
        self.room = room
        if share != self._share:
            self._share = share
            self._draw(self._until - self._skip - 1)

    def _draw(self, requests: int) -> None:
        """Draw how many are skipped next, after so many: cheaper than to draw for each."""
        share = self._share
        skip = 0 if share >= 1 else NEVER if share <= 0 else int(log(1 - self._chance()) / log1p(-share))
        self._until = requests + skip + 1
        self._skip = skip

    def __call__(self, request: RequestHead, client: Client, now: float) -> Incoming:
        if self._skip:
            self._skip -= 1
            return self._plain(request, client, now)
        self._draw(self._until)
        if self.room <= 0:
            return self._plain(request, client, now)
        self.room -= 1
        exchange = WatchedExchange(self._service, request, client, now)
        self.begun.append(exchange.seen)
        return exchange

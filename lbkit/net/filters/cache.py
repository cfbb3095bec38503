"""A shared cache in front of the backends: `core/cache` decides, this carries it out.

A request is served from the cache, or it asks a backend, or it follows another one that asks for the same
thing. What comes back from a backend is kept as it passes, if that is allowed. Whatever the filters before
this one do to answers (compression, cookies of sessions, hidden fields) is done anew each time, not stored.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from time import monotonic

from lbkit.caching import PLAIN, Caching
from lbkit.core.cache import (
    ERRORS,
    Cache,
    Flights,
    Landing,
    Request,
    Response,
    Role,
    Stored,
    Verdict,
    cache_status,
    to_origin,
)
from lbkit.core.cache.validation import CONDITIONS
from lbkit.net.cache_database import Disk
from lbkit.net.cache_disk import StoreOnDisk
from lbkit.net.filters.base import Filter
from lbkit.net.filters.cache_visit import Keeping, Visit, Way
from lbkit.net.messages import HOLD, Answer, ExchangeView, Hold, RequestHead, ResponseHead
from lbkit.net.stored import answer_of, request_of, response_of, with_fields

# Conditions for the server only: what is stored cannot answer them (RFC 9110, 13.1.1 and 13.1.4).
FOR_THE_SERVER = frozenset(("if-match", "if-unmodified-since"))
LOOKS = 10  # for followers that have waited too long, while the longest of them waits


class CacheFilter(Filter):
    """Serves answers from a cache in memory, and on disk if there is one, and fills it."""

    name = "cache"

    def __init__(self, rules: Caching) -> None:
        """Raises OSError for a folder that cannot be used."""
        self.rules = rules
        entries = None
        if rules.disk:
            entries = StoreOnDisk(rules.rules, Disk(rules.disk, self._disk_fault))
        self.cache: Cache[bytes] = Cache(rules.rules, entries)
        self.flights = Flights(rules.flights)
        self.clock: Callable[[], float] = time.time
        self.purges = 0
        self.verdicts: Counter[str] = Counter()
        self.asked = 0  # requests sent to backends, to keep what they answer
        self.arriving = 0  # bytes of the answers that are being kept
        self._following: set[Visit] = set()
        self._timer: asyncio.TimerHandle | None = None  # looks for followers that have waited too long

    def purge(self, uri: str | None = None) -> int:
        """Forget the answers with a URI, or all; return their number. Answers under way are not kept."""
        self.purges += 1
        return self.cache.clear() if uri is None else self.cache.purge(uri)

    def figures(self) -> Mapping[str, int]:
        """Return what was found for requests so far, what was asked of backends, and what is stored."""
        entries = self.cache.entries
        stored = {"entries": len(entries), "bytes": entries.size, "evicted": entries.evicted}
        return {**self.verdicts, "asked": self.asked, **stored}

    def _disk_fault(self) -> None:
        self.fault("the cache cannot use its folder")

    # -- requests -----------------------------------------------------------------------------------

    def on_request(self, exchange: ExchangeView, now: float) -> Answer | Hold | None:
        if exchange.request.upgrade:
            return None
        request = request_of(exchange.request, exchange.route)
        found = self.cache.lookup(request, self.clock())
        self.verdicts[found.verdict.value] += 1
        visit = exchange.state[self.index] = Visit(exchange, request, found)
        if found.verdict is not Verdict.BYPASS:
            # Only the backend knows what a GET with a body means.
            if exchange.request.length or not FOR_THE_SERVER.isdisjoint(request.fields.names):
                return None
            return self._decide(exchange, visit, now)
        return None

    def _decide(self, exchange: ExchangeView, visit: Visit, now: float) -> Answer | Hold | None:
        """Carry out what was found."""
        found, request = visit.found, visit.request
        if found.verdict is Verdict.UNAVAILABLE:
            visit.way = Way.OVER
            return Answer(504, "only-if-cached, and it is not", self._status(visit))
        if found.served:
            assert found.stored
            if found.verdict is Verdict.STALE:
                self._refresh(exchange, visit, now)
            return self._serve(visit, found.stored)
        if "range" in request.fields and found.stored is None:
            return None  # fetching the whole for a few bytes would multiply an attacker's traffic
        if self.rules.coalesce and found.shareable and request.method == "GET":
            key = self.cache.flight_key(request)
            role = self.flights.join(key, visit, now)
            visit.flight = None if role is Role.ALONE else key
            if role is Role.FOLLOW:
                visit.way, visit.collapsed = Way.FOLLOWS, True
                self._following.add(visit)
                self._watch(self.flights.rules.patience)
                return HOLD
        self._ask(exchange.request, visit)
        return None

    def _ask(self, head: RequestHead, visit: Visit) -> None:
        """Have a request fetch a whole answer, or validate the stored one."""
        visit.way = Way.ASKS
        self.asked += 1
        visit.requested, visit.purges = self.clock(), self.purges
        added = to_origin(Request("GET", ""), visit.found.stored).fields.pairs
        if added or not CONDITIONS.isdisjoint(visit.request.fields.names):
            head.data = with_fields(head.data, CONDITIONS, added)

    def _refresh(self, exchange: ExchangeView, visit: Visit, now: float) -> None:
        """Validate a stale answer behind the client's back, unless that is under way."""
        background = Visit(None, visit.request, visit.found._replace(verdict=Verdict.VALIDATE))
        key = self.cache.flight_key(visit.request)
        if visit.request.method != "GET" or not self.flights.claim(key, background, now):
            return
        background.flight = key
        head = copy(exchange.request)
        self._ask(head, background)
        self.unattended.send(self, head, exchange, background)

    def _serve(self, visit: Visit, stored: Stored[bytes], status: int = 0, detail: str = "") -> Answer:
        """Return the answer that a stored one gives. `status`: of the backend's answer, if there was one."""
        visit.way = Way.OVER
        line = self._status(visit, status, detail=detail)
        return answer_of(visit.request, stored, self.clock(), line)

    def _status(self, visit: Visit, status: int = 0, stored: bool = False, detail: str = "") -> bytes:
        """Return the line with Cache-Status."""
        if not self.rules.name:
            return b""
        parts = {"status": status, "stored": stored, "collapsed": visit.collapsed, "detail": detail}
        return b"Cache-Status: %b\r\n" % cache_status(self.rules.name, visit.found, **parts).encode()  # type: ignore[arg-type]

    # -- answers ------------------------------------------------------------------------------------

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> Answer | None:
        visit: Visit | None = exchange.state[self.index]
        if visit is None or visit.way is Way.OVER:
            return None
        way, visit.way = visit.way, Way.OVER
        if visit.found.verdict is Verdict.BYPASS and not head.own:
            self.cache.changed(visit.request, response_of(head))
        if way is Way.ASKS:
            return self._answered(exchange, visit, head)
        head.data += self._status(visit, 0 if head.own else head.status)
        return None

    def _answered(self, exchange: ExchangeView, visit: Visit, head: ResponseHead) -> Answer | None:
        """Return the stored answer, if that is to be given; else keep what has come, if that is allowed."""
        now, stored = self.clock(), visit.found.stored
        status = 0 if head.own else head.status
        if stored and head.status in ERRORS and self.cache.serves_on_error(visit.request, stored, now):
            self._land(visit, Landing.SHARED, stored)
            return self._serve(visit, stored, status, "stale-if-error")
        if stored and status == 304:
            fresh = self.cache.freshen(visit.request, stored, response_of(head), visit.requested, now)
            self._land(visit, self.cache.landing(304, fresh, now) if fresh else Landing.FAILED)
            if fresh is None:
                return Answer(502, "the backend confirmed another answer than the one it was asked about")
            return self._serve(visit, fresh, 304)
        if head.own:
            self._land(visit, Landing.FAILED)
            head.data += self._status(visit)
            return None
        if self.rules.control and status in PLAIN and not _says_how_long(head):
            head.data += b"Cache-Control: %b\r\n" % self.rules.control.encode()
        response = response_of(head)
        why = self._why_not(visit, response, head.length, now)
        if why:
            self._land(visit, self.cache.landing(status, None, now))
        else:
            done = partial(self._keep, visit, response, now)
            visit.keeping = Keeping(exchange, self._room, done)
        head.data += self._status(visit, status, stored=not why, detail=why)
        return None

    def _why_not(self, visit: Visit, response: Response, length: int, now: float) -> str:
        """Return why an answer is not kept, or ""."""
        why = self.cache.why_not(visit.request, response, visit.requested, now)
        if why:  # what it was to replace is forgotten, if it is for no cache
            self.cache.store(visit.request, response, b"", visit.requested, now, visit.found.stored)
        elif length > min(self.rules.rules.max_entry, self.rules.rules.max_bytes):
            why = f"its {length} bytes are more than an entry may have"
        return why

    def _room(self, size: int) -> bool:
        """Count bytes of answers that are being kept; return whether there may be so many."""
        self.arriving += size
        return self.arriving <= self.rules.rules.max_bytes

    def _keep(self, visit: Visit, response: Response, now: float, body: bytes | None) -> None:
        """Store an answer that is complete; None: one that cannot be kept."""
        stored, visit.keeping = None, None
        if visit.purges != self.purges:
            self._land(visit, Landing.FAILED)  # it may be older than a purge
            return
        if body is not None:
            asked = visit.requested, now, visit.found.stored
            stored, _ = self.cache.store(visit.request, response, body, *asked)
        self._land(visit, self.cache.landing(response.status, stored, self.clock()))

    # -- flights: requests that wait for others -------------------------------------------------------

    def _land(self, visit: Visit, how: Landing, stale: Stored[bytes] | None = None) -> None:
        """End a flight. `stale`: what the followers get if the backend has failed."""
        key, visit.flight = visit.flight, None
        if key is None:
            return
        loop = asyncio.get_running_loop()
        for follower in self.flights.land(key, visit, how, self._now()):
            assert isinstance(follower, Visit)
            self._following.discard(follower)
            follower.way = Way.PASSES
            if how is not Landing.FAILED:
                follower.flight = None  # else it leads now
            # Not at once: a thousand followers, each of which fails at once, would be a thousand calls deep.
            loop.call_soon(self._go_on, follower, how is Landing.SHARED, stale)

    def _go_on(self, visit: Visit, shared: bool = False, stale: Stored[bytes] | None = None) -> None:
        """Go on with a request that has followed another."""
        exchange = visit.exchange
        if exchange is None:
            return  # it has ended meanwhile
        now = self._now()
        try:
            outcome: Answer | Hold | None = None
            again = self.cache.lookup(visit.request, self.clock())
            if again.served and again.stored:
                outcome = self._serve(visit, again.stored)
            elif stale and self.cache.serves_on_error(visit.request, stale, self.clock()):
                outcome = self._serve(visit, stale, detail="stale-if-error")
            elif shared:  # the answer was for others, by Vary: perhaps one for this request is under way
                visit.found = again
                outcome = self._decide(exchange, visit, now)
            else:
                visit.found = again
                self._ask(exchange.request, visit)
        except Exception:
            exchange.failed(self)
            return
        if isinstance(outcome, Answer):
            if visit.flight:
                self._land(visit, Landing.SHARED)
            exchange.answer_with(outcome)
        elif outcome is None:
            exchange.proceed(now)

    @staticmethod
    def _now() -> float:
        return monotonic()

    def _watch(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """Release the followers that have waited long enough."""
        self._timer = None
        for visit in self.flights.overdue(self._now()):
            assert isinstance(visit, Visit)
            self._following.discard(visit)
            visit.way, visit.flight = Way.PASSES, None
            self._go_on(visit)
        if self._following:
            self._watch(self.flights.rules.patience / LOOKS)

    def on_client_gone(self, exchange: ExchangeView) -> bool:
        """Go on without the client, if others wait for the answer."""
        visit: Visit | None = exchange.state[self.index]
        if visit is None or visit.flight is None or visit.adopted or visit.way is Way.FOLLOWS:
            return False
        if not self.flights.waiting(visit.flight):
            return False
        visit.adopted = True
        self.unattended.adopt(exchange)
        return True

    def on_end(self, exchange: ExchangeView, now: float) -> None:
        visit: Visit | None = exchange.state[self.index]
        if visit is None:
            return
        visit.exchange = None
        if visit.keeping:
            visit.keeping.stop()
        if visit.flight and visit in self._following:
            self.flights.leave(visit.flight, visit)
            self._following.discard(visit)
        else:
            self._land(visit, Landing.FAILED)
        visit.way = Way.OVER

    async def close(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None


def _says_how_long(head: ResponseHead) -> bool:
    return bool(head.field(b"cache-control") or head.field(b"expires"))

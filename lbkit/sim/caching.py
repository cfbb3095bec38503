"""A cache in front of an origin, in virtual time: hit rate, and the load that is left for the origin.

The cache and the flights are those that a proxy uses; only the origin is a model: any number of requests at a
time, each takes `fetch` seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sized
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from lbkit.core.cache import (
    Cache,
    CacheRules,
    Fields,
    FlightRules,
    Flights,
    Landing,
    Lookup,
    Request,
    Response,
    Role,
    Stored,
    Verdict,
    to_origin,
)


@dataclass(slots=True)
class CacheRun:
    """What became of the requests of a run."""

    requests: int = 0
    hits: int = 0  # answered at once, stale ones included
    stale: int = 0  # answered at once by a stale response
    followed: int = 0  # answered by what another request fetched
    waited: float = 0.0  # seconds that followers waited, in sum
    fetched: int = 0  # requests that the origin got
    not_modified: int = 0  # of these, answered by a 304
    peak: int = 0  # the most that the origin had at a time

    @property
    def hit_rate(self) -> float:
        """The share of requests answered at once; 0 without requests."""
        return self.hits / self.requests if self.requests else 0.0

    @property
    def origin_load(self) -> float:
        """Requests of the origin for each request of a client; 1 is what it is without a cache."""
        return self.fetched / self.requests if self.requests else 0.0


class _Fetch(NamedTuple):
    """A request that may go to the origin."""

    key: int
    request: Request
    flight: Hashable
    ticket: int


class _Origin:
    """The run: events in order of time, then of their making."""

    def __init__(
        self,
        cache: Cache[Sized],
        flights: Flights | None,
        fetch: float,
        control: str,
        size: Callable[[int], int],
    ) -> None:
        self.cache, self.flights = cache, flights
        self.fetch, self.control, self.size = fetch, control, size
        self.run = CacheRun()
        self.busy = 0
        self._serial = count()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._waiting: dict[Hashable, tuple[_Fetch, float]] = {}  # by ticket, and since when

    def until(self, now: float) -> None:
        while self._events and self._events[0][0] <= now:
            at, _, event = heappop(self._events)
            event(at)

    def _at(self, at: float, event: Callable[[float], None]) -> None:
        heappush(self._events, (at, next(self._serial), event))

    def arrive(self, key: int, now: float) -> None:
        self.run.requests += 1
        request = Request("GET", f"http://origin/{key}")
        found = self.cache.lookup(request, now)
        fetch = _Fetch(key, request, self.cache.flight_key(request), next(self._serial))
        flights = self.flights
        if found.served:
            self.run.hits += 1
            if found.verdict is Verdict.STALE:
                self.run.stale += 1
                if flights is None or flights.claim(fetch.flight, fetch.ticket, now):
                    self._send(fetch, found, now)
            return
        if flights is not None and flights.join(fetch.flight, fetch.ticket, now) is Role.FOLLOW:
            self._waiting[fetch.ticket] = fetch, now
            self._at(now + flights.rules.patience, self._overdue)
        else:
            self._send(fetch, found, now)

    def _send(self, fetch: _Fetch, found: Lookup[Sized], now: float) -> None:
        self.run.fetched += 1
        self.busy += 1
        self.run.peak = max(self.run.peak, self.busy)
        self._at(now + self.fetch, lambda at: self._answer(fetch, found.stored, now, at))

    def _answer(self, fetch: _Fetch, old: Stored[Sized] | None, requested: float, now: float) -> None:
        self.busy -= 1
        tag = f'"{fetch.key}"'
        head = Fields((("cache-control", self.control), ("etag", tag)))
        stored: Stored[Sized] | None
        if old and to_origin(fetch.request, old).fields.get("if-none-match") == tag:
            self.run.not_modified += 1
            status = 304
            stored = self.cache.freshen(fetch.request, old, Response(304, head), requested, now)
        else:
            status = 200
            body = range(self.size(fetch.key))  # a body without bytes: it has a length
            stored, _ = self.cache.store(fetch.request, Response(200, head), body, requested, now, old)
        if self.flights is None:
            return
        how = self.cache.landing(status, stored, now)
        for ticket in self.flights.land(fetch.flight, fetch.ticket, how, now):
            self._go_on(ticket, how is Landing.SHARED, now)

    def _overdue(self, now: float) -> None:
        for ticket in () if self.flights is None else self.flights.overdue(now):
            self._go_on(ticket, False, now)

    def _go_on(self, ticket: Hashable, shared: bool, now: float) -> None:
        """A follower has waited: it has its answer, or fetches one."""
        fetch, since = self._waiting.pop(ticket)
        self.run.waited += now - since
        found = self.cache.lookup(fetch.request, now)
        if shared and found.served:
            self.run.followed += 1
        else:
            self._send(fetch, found, now)


def play_cache(
    arrivals: Iterable[tuple[float, int]],
    *,
    rules: CacheRules | None = None,
    flights: FlightRules | None = None,
    fetch: float = 0.1,
    control: str = "max-age=60",
    size: Callable[[int], int] = lambda key: 10_000,
) -> CacheRun:
    """Return what a cache does with requests of (seconds, number of a key), in order of time.

    `control`: the Cache-Control of the origin's responses. `size`: the bytes of a key's body. Without
    `flights`, requests are not coalesced."""
    origin = _Origin(Cache(rules), None if flights is None else Flights(flights), fetch, control, size)
    now = 0.0
    for now, key in arrivals:
        origin.until(now)
        origin.arrive(key, now)
    origin.until(float("inf"))
    return origin.run

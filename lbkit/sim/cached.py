"""Simulations with a cache: the proxy's, with the same decisions, before the gate and the servers.

A good answer has the `control` of the cache and no validators.
What is served from the cache takes no time and reaches no server.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

from lbkit.caching import Served
from lbkit.core.attempts import Failure
from lbkit.core.cache import (
    ERRORS,
    Cache,
    Fields,
    Flights,
    Landing,
    Lookup,
    Request,
    Response,
    Role,
    Stored,
    Verdict,
)
from lbkit.core.vectors import column_of
from lbkit.experiment import Experiment
from lbkit.sim import kinds
from lbkit.sim.engine import Handlers
from lbkit.sim.impatient import ImpatientRetryingSimulation, ImpatientSimulation
from lbkit.sim.requests import NAN, NOT_PICKED
from lbkit.sim.retrying import RetryingSimulation
from lbkit.sim.servers import OK
from lbkit.sim.simulation import Simulation

# The fields of live servers' answers, so that as many fit into the cache.
FIELDS = (
    ("content-type", "text/plain"),
    ("content-length", "10"),
    ("x-backend", "server"),
    ("x-lbkit-start", "0" * 12),
    ("x-lbkit-service", "0" * 8),
)
BODY = range(60)  # a body without bytes: it has a length


class _Visit:
    """A request that asks a server, or follows another that does."""

    __slots__ = ("flight", "follows", "found", "request", "requested", "told")

    def __init__(self, request: Request, found: Lookup[range]) -> None:
        self.request = request
        self.found = found
        self.flight: tuple[object, ...] | None = None
        self.follows = False
        self.requested = 0.0  # when it was sent to a server
        self.told = False  # its client has left, and knows the outcome


class CachingSimulation(Simulation):
    """A simulation that serves requests from a cache, and fills it."""

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        rules = experiment.cache
        assert rules
        self.cache: Cache[range] = Cache(rules.rules)
        self.flights = Flights(rules.flights)
        self.coalesce = rules.coalesce
        self.good = Fields((*FIELDS, ("cache-control", rules.control)))
        self.visits: dict[int, _Visit] = {}
        self.orphans: dict[int, tuple[_Visit, float]] = {}  # leaders whose clients have left, and when
        self.background: set[int] = set()  # rows of the cache's own requests
        self.fetched = 0
        self.gone: set[int] = set()  # rows whose clients have left
        super().__init__(experiment, max_events)
        self.followed = True
        self.requests.cache = array("i", bytes(4 * len(self.requests.arrival)))
        if self.users is None:
            # A copy, as the column grows by requests of the cache's own.
            self.engine.feed(column_of(self.requests.arrival), kinds.ARRIVE)

    def _handlers(self) -> Handlers:
        happens: list[Callable[[int], object]] = list(super()._handlers())
        happens[kinds.WAITED] = self.waited
        return happens

    def columns(self) -> dict[str, array[Any]]:
        return self.requests.without_copies(super().columns())

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "fetched": self.fetched}

    # -- requests ------------------------------------------------------------------------------------

    def enter(self, row: int) -> None:
        """A request has passed the limits: the cache decides where it goes."""
        if row in self.gone:
            return
        request = self.request_of(row)
        self.decide(row, _Visit(request, self.cache.lookup(request, self.engine.now)))

    def request_of(self, row: int) -> Request:
        """Return a request as the cache sees it."""
        requests = self.requests
        kind = requests.kinds.of(requests.demand[row])
        partition = ""
        if self.routes is not None and requests.rule is not None:
            partition = f"{requests.rule[row]} {id(self.routes.pool(row))}"
        uri = f"http://{kind.host or 'experiment'}{kind.target(requests.path[row])}"
        return Request(kind.method, uri, Fields(kind.headers.items()), partition)

    def decide(self, row: int, visit: _Visit) -> None:
        found, now = visit.found, self.engine.now
        if found.verdict is Verdict.BYPASS:
            self.visits[row] = visit
            super().enter(row)
            return
        if found.served:
            if found.verdict is Verdict.STALE:
                self.refresh(row, visit)
            self.serve(row, Served.STALE if found.verdict is Verdict.STALE else Served.HIT)
            return
        if self.coalesce and found.shareable:
            key = self.cache.flight_key(visit.request)
            role = self.flights.join(key, row, now)
            visit.flight = None if role is Role.ALONE else key
            if role is Role.FOLLOW:
                visit.follows = True
                self.visits[row] = visit
                self.engine.plan(now + self.flights.rules.patience, kinds.WAITED, row)
                return
        self.ask(row, visit)

    def ask(self, row: int, visit: _Visit) -> None:
        """Send a request on to the servers."""
        assert self.requests.cache is not None
        self.requests.cache[row] = Served.MISS
        self.fetched += 1
        visit.follows, visit.requested = False, self.engine.now
        self.visits[row] = visit
        super().enter(row)

    def refresh(self, row: int, visit: _Visit) -> None:
        """Fetch a stale answer anew, behind the client's back, unless that is under way."""
        background = len(self.requests.arrival)  # the number of its row
        asks = _Visit(visit.request, visit.found._replace(verdict=Verdict.VALIDATE))
        key = self.cache.flight_key(visit.request)
        if self.flights.claim(key, background, self.engine.now):
            self.requests.copy(row)
            if self.routes is not None:
                self.routes.follow(background, row)
            asks.flight = key
            self.background.add(background)
            self.ask(background, asks)

    def serve(self, row: int, how: Served) -> None:
        """Answer a request from the cache."""
        assert self.requests.cache is not None
        self.requests.cache[row] = how
        self.requests.attempts[row] = 0
        self.reply(row, OK)

    # -- answers -------------------------------------------------------------------------------------

    def ended(self, row: int, ok: bool) -> None:
        """A request has its outcome: keep a good answer, and let those go on that wait for it."""
        requests = self.requests
        if row in self.orphans:
            self._orphan_ended(row, ok)
            return
        if visit := self.visits.pop(row, None):
            if visit.follows and visit.flight:
                self.flights.leave(visit.flight, row)  # its client has left
            elif self.land(row, visit, 0 if row in self.gone else requests.status[row]):
                ok = True
        if row not in self.background:
            super().ended(row, ok)
        elif self.entrance.leave(row, ok):
            self.admit()

    def _orphan_ended(self, row: int, ok: bool) -> None:
        """A client has left, or later its request has ended."""
        visit, left = self.orphans[row]
        if visit.told:
            del self.orphans[row]
            self.land(row, visit, self.requests.status[row])
            self.requests.end[row] = left
        else:
            visit.told = True
            super().ended(row, ok)

    def land(self, row: int, visit: _Visit, status: int) -> bool:
        """Keep what a request has fetched; return whether it got a stale answer in place of an error."""
        requests, now, old = self.requests, self.engine.now, visit.found.stored
        stored: Stored[range] | None = None
        if visit.found.verdict is Verdict.BYPASS:
            self.cache.changed(visit.request, Response(status))
            return False
        if status == OK:
            response = Response(OK, self.good)
            size = requests.kinds.of(requests.demand[row]).size
            body = range(size) if size else BODY
            stored, _ = self.cache.store(visit.request, response, body, visit.requested, now, old)
        failed = status in ERRORS or not status
        stale = bool(failed and old and self.cache.serves_on_error(visit.request, old, now))
        if stale and row not in self.gone:
            assert requests.cache is not None
            requests.cache[row], requests.status[row] = Served.STALE, OK
            requests.backend[row], requests.start[row], requests.service[row] = -1, NAN, 0.0
        how = Landing.SHARED if stale else self.cache.landing(status, stored, now)
        if visit.flight:
            for follower in self.flights.land(visit.flight, row, how, now):
                assert isinstance(follower, int)
                self.go_on(follower, how, stale)
        return stale

    def go_on(self, row: int, how: Landing, stale: bool = False) -> None:
        """Go on with a request that has followed another."""
        visit = self.visits.pop(row)
        found = self.cache.lookup(visit.request, self.engine.now)
        if how is not Landing.FAILED:
            visit.flight = None  # else it leads now
        if found.served:
            self.serve(row, Served.COLLAPSED)
        elif stale:
            self.serve(row, Served.STALE)
        else:
            self.ask(row, visit)

    def waited(self, row: int) -> None:
        """A follower has waited long enough, if it is still one."""
        visit = self.visits.get(row)
        if visit and visit.flight and self.flights.leave(visit.flight, row):
            self.go_on(row, Landing.UNSHARED)

    # -- clients that leave ---------------------------------------------------------------------------

    def answer(self, row: int) -> None:
        if row in self.orphans:
            Simulation.answer(self, row)
        else:
            super().answer(row)


class _Patience(CachingSimulation, ImpatientSimulation):
    """With clients that leave: a request that others wait for goes on without its client."""

    def reached(self, row: int) -> bool:
        """Return whether a server has the request."""
        return self.requests.lease[row] is not NOT_PICKED

    def withdraw(self, row: int) -> None:
        visit = self.visits.get(row)
        waited_for = visit and visit.flight and not visit.follows and self.flights.waiting(visit.flight)
        if waited_for and self.reached(row):
            self.orphans[row] = self.visits.pop(row), self.engine.now
        else:
            super().withdraw(row)

    def fail(self, row: int, failure: Failure, kept: bool = False) -> None:
        if row in self.orphans:  # it is not tried again
            self.release(row)
            self.requests.status[row] = 0
            self.ended(row, False)
        else:
            super().fail(row, failure, kept)


class CachingImpatientSimulation(_Patience):
    """A simulation with a cache, and clients with patience."""


class CachingRetryingSimulation(CachingSimulation, RetryingSimulation):
    """A simulation with a cache, and rules for attempts."""


class CachingImpatientRetryingSimulation(_Patience, ImpatientRetryingSimulation):
    """A simulation with all of them."""

    def reached(self, row: int) -> bool:
        return row in self.open

    def retry(self, row: int) -> None:
        if row in self.orphans:  # its attempt has failed, and it is not tried again
            del self.open[row]
            self.requests.status[row] = 0
            self.ended(row, False)
        else:
            super().retry(row)

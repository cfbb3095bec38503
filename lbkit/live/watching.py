"""What is seen of the requests of a running session, a few times a second, by somebody who watches.

lbkit's own proxy writes down what happens to a share of the requests (lbkit.net.watching). Of real programs,
and at layer 4, only the rows are known: a request is seen when it has been answered, and of its attempts the
last.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Sequence
from math import inf, isnan, nan

from lbkit.experiment import Experiment
from lbkit.live.load import Row
from lbkit.net.messages import RequestHead
from lbkit.net.watching import Seen, SeenAttempt, Watch
from lbkit.outcomes import CANCELLED, FAILED, LEFT, UNFINISHED, outcome
from lbkit.recorded import FIRST, HEDGE, RETRY, Attempt, Sighting
from lbkit.result import good
from lbkit.workload import client_name

SHOWN = 120.0  # requests a second, at most; of more, a share is drawn
AT_ONCE = 50  # requests between two looks, whatever the rate
MEASURED = 1.0  # seconds over which the rate is measured; at first less
SOON = 0.2  # seconds: a request without an answer is shown when it is this old, others with their answer
MOST_OPEN = 2000  # requests under way that are followed
KNOWN = 100_000  # clients that are told apart by their addresses
ANSWERS_ONLY = "requests are shown once they are answered; of their attempts only the last is known"


class Watcher:
    """Tells what is new, when asked: `news`. Bounded, however seldom that is.

    `share`: of the requests that are shown, whole; `rate`: of all requests, a second."""

    notes: tuple[str, ...] = ()  # what is not seen, a line each

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.share, self.rate = 1.0, 0.0
        self.closed = False
        self._index = {server.name: i for i, server in enumerate(experiment.leaves)}
        self._measured, self._before = -inf, 0

    @abstractmethod
    def news(self, now: float) -> list[Sighting]:
        """Return the requests that are new, or have come further. `now`: seconds from time 0."""

    def close(self) -> None:
        """See no more."""
        self.closed = True

    def _adapt(self, now: float, requests: int) -> None:
        """Choose the share, from the number of all requests so far."""
        if now - self._measured < (MEASURED if self.rate else MEASURED / 5):
            return
        if self._measured > -inf:
            self.rate = (requests - self._before) / (now - self._measured)
            self.share = min(1.0, SHOWN / self.rate) if self.rate else 1.0
        self._measured, self._before = now, requests

    def _size(self, server: int, quantile: float | None) -> float:
        service = self.experiment.leaves[max(server, 0)].service
        return 1.0 if quantile is None else service.quantile(quantile) / service.mean


class Rows(Watcher):
    """Sees the finished requests of the load."""

    notes = (ANSWERS_ONLY,)

    def __init__(self, experiment: Experiment, since: Callable[[int], Sequence[Row]], first: int) -> None:
        """`since` returns the rows from number n on; those before `first` are not news."""
        super().__init__(experiment)
        self._since, self._next = since, first
        self._chance = random.Random().random

    def news(self, now: float) -> list[Sighting]:
        rows = self._since(self._next)
        first, self._next = self._next, self._next + len(rows)
        self._adapt(now, self._next)
        at_once = rows[-MOST_OPEN:]
        skipped = first + len(rows) - len(at_once)
        shown = ((skipped + i, row) for i, row in enumerate(at_once) if self._chance() < self.share)
        return [self._sighting(number, row) for number, row in shown]

    def _sighting(self, number: int, row: Row) -> Sighting:
        sent, began, end, name, client, _, status, _, work, *_ = row
        server = self._index.get(name or "", -1)
        what = ended(status, answered=server >= 0, left=not status)
        attempts: tuple[Attempt, ...] = ()
        size = 1.0
        if server >= 0:
            start = nan if began is None else max(sent, began)
            done = min(end, start + work) if work else end
            attempts = (Attempt(number, server, sent, start, done, FIRST, what),)
            spec = self.experiment.leaves[server]
            size = work * spec.speed / spec.service.mean if work else 1.0
        return Sighting(number, client, sent, end, status, size, what, attempts)


class Requests(Watcher):
    """Sees the requests that lbkit's proxy writes down."""

    def __init__(self, experiment: Experiment, watch: Watch, t0: float) -> None:
        """`t0`: time 0, on the clock of the proxy."""
        super().__init__(experiment)
        self._watch, self._t0 = watch, t0
        self._open: dict[int, Seen] = {}
        self._told: dict[int, int] = {}  # how far each open request had come when it was told
        self._number = 0
        clients = range(min(experiment.traffic.clients, KNOWN))
        self._clients = {client_name(client): client for client in clients}

    def close(self) -> None:
        super().close()
        self._watch.end()

    def news(self, now: float) -> list[Sighting]:
        self._adapt(now, self._watch.requests)
        self._watch.let(self.share, AT_ONCE)
        self._fetch()
        found = []
        for number, seen in list(self._open.items()):
            over = seen.ended is not None
            if not over and now - (seen.began - self._t0) < SOON:
                continue
            far = len(seen.attempts) + sum(one.lease.released for one in seen.attempts)
            if over or self._told.get(number) != far:
                self._told[number] = far
                found.append(self._sighting(number, seen, now))
            if over:
                self._open.pop(number)
                self._told.pop(number)
        return found

    def _fetch(self) -> None:
        """Follow the requests that have begun; with too many, the oldest no longer."""
        begun = self._watch.begun
        for _ in range(len(begun)):
            self._open[self._number] = begun.popleft()
            self._number += 1
        for number in list(self._open)[: max(0, len(self._open) - MOST_OPEN)]:
            self._open.pop(number)
            self._told.pop(number, None)

    def _sighting(self, number: int, seen: Seen, now: float) -> Sighting:
        end = seen.ended  # once: it goes on meanwhile
        over, answered = end is not None, nan if end is None else end - self._t0
        cut = seen.ok is False and good(seen.status)  # the answer had begun
        what = ended(seen.status, bool(seen.attempts), seen.left, cut) if over else UNFINISHED
        ends = answered if over else now  # of copies that were cancelled: the proxy says only that they are
        made = seen.attempts[:]
        attempts = tuple(
            self._attempt(number, one, ends, what, FIRST if not i else HEDGE if one.hedge else RETRY)
            for i, one in enumerate(made)
        )
        server = attempts[0].server if attempts else -1
        client = self._clients.get(seen.request.client, -1)
        size = self._size(server, _quantile(seen.request))
        return Sighting(number, client, seen.began - self._t0, answered, seen.status, size, what, attempts)

    def _attempt(self, number: int, one: SeenAttempt, ends: float, what: str, kind: str) -> Attempt:
        at = one.at - self._t0
        server = self._index.get(one.lease.backend.name, -1)
        start, work = served(one, at, self._t0)
        if not one.lease.released:
            return Attempt(number, server, at, start, nan, kind, UNFINISHED)
        end = ends if one.ended is None else one.ended - self._t0
        if work:  # what follows is the way back
            end = min(end, start + work)
        how = what if one.head and one.ok is not False else CANCELLED if one.ok is None else FAILED
        end = max(at, end) if isnan(start) else max(start, end)
        return Attempt(number, server, at, start, end, kind, how)


def _quantile(request: RequestHead) -> float | None:
    """Return a request's work as a quantile of service times, as clients send it; None if they do not."""
    try:
        return min(0.999999, max(0.0, float(request.field(b"x-lbkit-demand"))))
    except ValueError:
        return None


def served(one: SeenAttempt, at: float, t0: float) -> tuple[float, float]:
    """Return when the server began with an attempt, and how long it worked; nan and 0 if it does not say."""
    if one.head is None:
        return nan, 0.0
    try:
        start = float(one.head.field(b"x-lbkit-start")) - t0
        return max(at, start), float(one.head.field(b"x-lbkit-service"))
    except ValueError:
        return nan, 0.0


def ended(status: int, answered: bool, left: bool = False, cut: bool = False) -> str:
    """Return how a request ended. `answered`: by a server; `cut`: in the middle of its answer."""
    if not status:
        return LEFT if left else FAILED
    return FAILED if cut else outcome(status, answered)

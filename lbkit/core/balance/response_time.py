"""Least response time: measured latency, multiplied by the requests in flight."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from math import exp, inf, log

from mypy_extensions import mypyc_attr

from lbkit.core.backend import NEW_SAMPLE, Backend
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.balance.power_of_two import _SampledChoice
from lbkit.core.options import number

_Entry = tuple[float, int, Backend]  # score, number of the turn, backend


FADED = -log(1 - NEW_SAMPLE)  # decays after which an average has lost as much as a new sample replaces


@mypyc_attr(allow_interpreted_subclasses=True)
class LeastResponseTime(Balancer):
    """The backend with the shortest expected wait: average latency x (in flight + 1), for its weight.

    An average that nothing refreshes fades: it falls by the factor e in `decay` seconds, and the next answer
    replaces what has faded. So a backend that was slow is tried again, after decay x ln(how many times slower
    it was), and equal backends share the load. With a `decay` of inf averages never fade, as in nginx's
    least_time and Traefik's leasttime: a backend that was slow once may never get another request while load
    is low. A new backend has no average yet and scores 0, so it is flooded until its first answer is back.
    One that has only ever failed counts as slow as the slowest: 0 would draw all requests to it.
    """

    def __init__(self, decay: float = 3.0) -> None:
        number(0, above=True, infinite=True, decay=decay)
        self.decay = decay
        self._averages: dict[Backend, tuple[float, float]] = {}  # latency, when it was measured
        self._slowest = 0.0
        self._assumed: dict[Backend, float] = {}  # latency of backends that have only failed so far
        self._since: dict[Backend, float] = {}  # when a request last started or ended
        self._heap: list[
            _Entry
        ] = []  # by score; entries that a later one of their backend replaces stay a while
        self._turn = 0
        self._turn_of: dict[Backend, int] = {}  # of the valid entry of each backend

    def _latency(self, backend: Backend) -> float:
        known = self._averages.get(backend)
        return (known[0] if known else backend.latency) or self._assumed.get(backend, 0.0)

    def _entry(self, backend: Backend, in_flight: int, since: float) -> _Entry:
        """Return the valid entry of a backend from now on, behind its equals."""
        # All scores fade alike. As logarithms they all lose the same in the same time, so their order stays
        # while nothing happens: the time of the last change, added once, is as good as fading all along.
        latency = self._latency(backend)
        score = log(latency * (in_flight + 1) / backend.weight) + since / self.decay if latency else -inf
        self._turn_of[backend] = self._turn = self._turn + 1
        return score, self._turn, backend

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._assumed = {b: self._assumed[b] for b in backends if b in self._assumed}
        self._averages = {b: self._averages[b] for b in backends if b in self._averages}
        self._since = {b: self._since[b] for b in backends if b in self._since}
        # In the old order: a change elsewhere must not cost a backend its place.
        known = sorted((b for b in backends if b in self._turn_of), key=self._turn_of.__getitem__)
        self._turn_of = {}
        in_order = dict.fromkeys((*known, *backends))
        self._heap = [self._entry(b, b.in_flight, self._since.get(b, 0.0)) for b in in_order]
        heapify(self._heap)

    def start_at(self, backends: Sequence[Backend], place: float) -> None:
        for backend in list(self._turn_of)[: int(place * len(backends))]:
            heappush(self._heap, self._entry(backend, backend.in_flight, self._since.get(backend, 0.0)))

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        heap, turn_of = self._heap, self._turn_of
        while turn_of.get(heap[0][2]) != heap[0][1]:
            heappop(heap)
        backend = heap[0][2]
        self._since[backend] = now
        # As `_entry`, written out: the calls would take a tenth of the time of a decision.
        known = self._averages.get(backend)
        if known and known[0]:
            turn_of[backend] = self._turn = turn = self._turn + 1
            score = log(known[0] * (backend.in_flight + 2) / backend.weight) + now / self.decay
            heapreplace(heap, (score, turn, backend))
        else:
            heapreplace(heap, self._entry(backend, backend.in_flight + 1, now))
        return backend

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        # Retries are rare: a scan is fine.
        valid = [e for e in self._heap if self._turn_of.get(e[2]) == e[1] and e[2] not in exclude]
        backend = min(valid)[2]
        self._since[backend] = now
        heappush(self._heap, self._entry(backend, backend.in_flight + 1, now))
        return backend

    def resumed(self, backend: Backend, now: float) -> None:
        if backend in self._turn_of:
            self._since[backend] = now
            heappush(self._heap, self._entry(backend, backend.in_flight, now))

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if backend.latency > self._slowest:
            self._slowest = backend.latency
        turn_of, heap = self._turn_of, self._heap
        if backend not in turn_of:
            return
        self._since[backend] = now
        if ok:
            known = self._averages.get(backend)
            if known and known[0]:
                average, when = known
                share = NEW_SAMPLE
                if now - when > FADED * self.decay:  # more has faded
                    share = 1 - exp((when - now) / self.decay)
                average += share * (latency - average)
            else:
                average = backend.latency
            self._averages[backend] = average, now
        elif ok is False and not backend.latency:
            self._assumed[backend] = self._slowest
        heappush(heap, self._entry(backend, backend.in_flight, now))
        if len(heap) > 4 * len(turn_of) + 16:
            self._heap = [e for e in heap if turn_of.get(e[2]) == e[1]]
            heapify(self._heap)

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        waits = {
            b.name: self._latency(b)
            * (b.in_flight + 1)
            / b.weight
            * exp((self._since.get(b, 0.0) - now) / self.decay)
            for b in self._turn_of
        }
        return Why("expected wait, faded since its last change; longest waiting first", waits, "lowest")


@mypyc_attr(allow_interpreted_subclasses=True)
class PeakEWMA(_SampledChoice):
    """Of two random backends, the one with the shorter expected wait: recent latency x (in flight + 1).

    The latency is a moving average that decays with time (`decay`, in seconds), and a slow answer raises it
    at once: it rises fast and falls slowly. A failure counts as the slowest answer so far, however quickly
    it came. (Finagle's P2C with Peak EWMA; Linkerd.)
    """

    name = "peak_ewma"
    scored = "expected wait"

    def __init__(self, decay: float = 10.0) -> None:
        number(0, above=True, decay=decay)
        self.decay = decay
        self._averages: dict[Backend, tuple[float, float]] = {}  # latency, when it was measured
        self._slowest = 0.0

    def rebuild(self, backends: Sequence[Backend]) -> None:
        members = set(backends)
        self._averages = {b: known for b, known in self._averages.items() if b in members}

    def score(self, backend: Backend, now: float) -> float:
        latency, since = self._averages.get(backend, (0.0, now))
        if not latency and backend.in_flight:
            return 1e9 + backend.in_flight  # a new backend gets one request until its first answer
        return latency * exp(-(now - since) / self.decay) * (backend.in_flight + 1) / backend.weight

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if ok is None:
            return
        self._slowest = max(self._slowest, latency)
        if not ok:
            latency = self._slowest
        before, since = self._averages.get(backend, (0.0, now))
        kept = exp(-(now - since) / self.decay)
        average = before * kept + latency * (1 - kept)
        self._averages[backend] = max(latency, average), now

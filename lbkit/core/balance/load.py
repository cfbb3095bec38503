"""Looking at load: the backend with the lowest score gets the request."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer


class _LowestScore(Balancer):
    """Keeps backends in a heap by score, so that a pick over thousands is not a scan.

    Scores move only when a backend is picked or comes back. A pick makes its entry too low,
    which shows at the top of the heap, where it is corrected; a return makes it too
    high, so `done` pushes a new entry and the old one, when met, is dropped. Amortised
    O(log n). Among equals, whoever has waited longest goes first.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Backend]] = []
        self._valid: dict[Backend, int] = {}  # backend -> ticket of the entry that counts
        self._tickets = count()

    def score(self, backend: Backend) -> float:
        """Lower is better. Made of the backend's weight, in_flight and latency only."""
        raise NotImplementedError

    def rebuild(self, backends: Sequence[Backend]) -> None:
        # Tickets are kept, so that a change elsewhere does not reorder those who wait.
        valid = self._valid
        self._valid = {b: valid[b] if b in valid else next(self._tickets) for b in backends}
        self._heap = [(self.score(b), ticket, b) for b, ticket in self._valid.items()]
        heapify(self._heap)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        heap, valid = self._heap, self._valid
        while True:
            score, ticket, backend = heap[0]
            if valid[backend] != ticket:
                heappop(heap)  # out of date
                continue
            actual = self.score(backend)
            if actual > score:
                heapreplace(heap, (actual, ticket, backend))
                continue
            valid[backend] = ticket = next(self._tickets)  # from now on it waits behind its equals
            heapreplace(heap, (actual, ticket, backend))
            return backend

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        # Retries are rare: a scan is fine.
        valid = self._valid
        best = min((b for b in backends if b not in exclude), key=lambda b: (self.score(b), valid[b]))
        self._post(best)
        return best

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if backend not in self._valid:
            return  # draining, or gone
        self._post(backend)

    def _post(self, backend: Backend) -> None:
        """A new entry, behind its equals, that replaces the old one."""
        self._valid[backend] = ticket = next(self._tickets)
        heappush(self._heap, (self.score(backend), ticket, backend))
        if len(self._heap) > 4 * len(self._valid) + 16:
            self.rebuild(tuple(self._valid))  # drops the entries out of date


class LeastConnections(_LowestScore):
    """The fewest requests in flight for its weight.

    Sees queues build up, so it copes with requests of unequal length; does not see why
    a server answers quickly: one that fails fast looks idle.
    """

    def score(self, backend: Backend) -> float:
        return backend.in_flight / backend.weight


class LeastResponseTime(_LowestScore):
    """The shortest wait to expect: average latency x (in flight + 1), for its weight.

    As nginx's least_time and Traefik's leasttime. A newcomer has no latency
    yet and scores 0, so it is flooded until its first answer is back.
    """

    def score(self, backend: Backend) -> float:
        return backend.latency * (backend.in_flight + 1) / backend.weight

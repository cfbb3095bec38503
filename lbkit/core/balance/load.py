"""Looking at load: the backend with the lowest score gets the request."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer


class _LowestScore(Balancer):
    """Keeps backends in a heap by score, so that a pick over thousands is not a scan.

    Scores move only when a backend is picked or comes back, and both post a new entry; the old one
    is dropped when met. O(log n). Among equals, whoever has waited longest goes first.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Backend]] = []
        self._valid: dict[Backend, int] = {}  # backend -> ticket of the entry that counts
        self._tickets = count()

    def score(self, backend: Backend, in_flight: int) -> float:
        """Of a backend with so many in flight; lower is better. Made of its weight and latency besides."""
        raise NotImplementedError

    def rebuild(self, backends: Sequence[Backend]) -> None:
        # Tickets are kept, so that a change elsewhere does not reorder those who wait.
        valid = self._valid
        self._valid = {b: valid[b] if b in valid else next(self._tickets) for b in backends}
        self._heap = [(self.score(b, b.in_flight), ticket, b) for b, ticket in self._valid.items()]
        heapify(self._heap)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        heap, valid = self._heap, self._valid
        while True:
            _, ticket, backend = heap[0]
            if valid[backend] == ticket:
                # From now on it waits behind its equals, with one more in flight.
                valid[backend] = ticket = next(self._tickets)
                heapreplace(heap, (self.score(backend, backend.in_flight + 1), ticket, backend))
                return backend
            heappop(heap)  # out of date

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        # Retries are rare: a scan is fine.
        valid = self._valid
        best = min(
            (b for b in backends if b not in exclude), key=lambda b: (self.score(b, b.in_flight), valid[b])
        )
        self._post(best, best.in_flight + 1)
        return best

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if backend in self._valid:  # not draining, nor gone
            self._post(backend, backend.in_flight)

    def _post(self, backend: Backend, in_flight: int) -> None:
        """A new entry, behind its equals, that replaces the old one."""
        heap, valid = self._heap, self._valid
        valid[backend] = ticket = next(self._tickets)
        heappush(heap, (self.score(backend, in_flight), ticket, backend))
        if len(heap) > 4 * len(valid) + 16:
            # Drops the entries out of date.
            heap[:] = [entry for entry in heap if valid[entry[2]] == entry[1]]
            heapify(heap)


class LeastConnections(_LowestScore):
    """The fewest requests in flight for its weight.

    Sees queues build up, so it copes with requests of unequal length; does not see why
    a server answers quickly: one that fails fast looks idle.
    """

    def score(self, backend: Backend, in_flight: int) -> float:
        return in_flight / backend.weight


class LeastResponseTime(_LowestScore):
    """The shortest wait to expect: average latency x (in flight + 1), for its weight.

    As nginx's least_time and Traefik's leasttime. A newcomer has no latency
    yet and scores 0, so it is flooded until its first answer is back.
    """

    def score(self, backend: Backend, in_flight: int) -> float:
        return backend.latency * (in_flight + 1) / backend.weight

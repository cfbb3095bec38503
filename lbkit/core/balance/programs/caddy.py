"""Caddy: least_conn and random_choose. Its other policies are round robin, random and rendezvous hashing."""

from __future__ import annotations

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why, restoring
from lbkit.core.options import whole


@mypyc_attr(allow_interpreted_subclasses=True)
class CaddyLeastConnections(Balancer):
    """Caddy `least_conn`: the fewest in flight; a random one of those that have equally few. O(n).

    (selectionpolicies.go, LeastConnSelection.)
    """

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        fewest = min(b.in_flight for b in backends)
        equal = [b for b in backends if b.in_flight == fewest]
        return equal[int(self.rng.random() * len(equal))]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        loads = {b.name: float(b.in_flight) for b in backends}
        return Why("in flight, a random one of equals", loads, "lowest")


@mypyc_attr(allow_interpreted_subclasses=True)
class CaddyRandomChoose(Balancer):
    """Caddy `random_choose`, until July 2026: power of choices from a sample that may be too small.

    Each backend in turn takes a random place among all so far, and is in the sample if that is one of the
    first `choose` places. So it may replace another while a place is still free, and a busy backend may be
    the whole sample. (selectionpolicies.go, RandomChoiceSelection; corrected by Caddy's pull request 7873.)
    """

    def __init__(self, choose: int = 2) -> None:
        whole(2, choose=choose)
        self.choose = choose

    def sample(self, backends: Sequence[Backend]) -> list[Backend]:
        places: list[Backend | None] = [None] * min(self.choose, len(backends))
        for i, backend in enumerate(backends):
            j = int(self.rng.random() * (i + 1))
            if j < len(places):
                places[j] = backend
        return [b for b in places if b is not None]

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        best: list[Backend] = []
        for backend in self.sample(backends):
            if not backend.in_flight:
                return backend
            # The list is never emptied: a backend that looked best before stays, and may be drawn.
            if not best or backend.in_flight <= best[-1].in_flight:
                best.append(backend)
        return best[int(self.rng.random() * len(best))] if len(best) > 1 else best[0]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        with restoring(self.rng):
            sampled = self.sample(backends)
        with restoring(self.rng):
            picked = self.pick(backends, key, now)
        loads = {b.name: float(b.in_flight) for b in sampled}
        return Why(
            f"of those drawn {picked.name}, which is idle or not above one before it; in flight", loads
        )

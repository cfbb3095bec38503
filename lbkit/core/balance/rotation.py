"""Taking turns: algorithms that look at nothing but whose turn it is."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer


class RoundRobin(Balancer):
    """Each in turn. Equal counts, whatever the servers can bear."""

    def __init__(self) -> None:
        self._turn = -1

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        # The turn is kept within the pool, so a pool that grows goes on with the newcomer's turn
        # instead of jumping to wherever a count of all picks would point.
        self._turn = turn = (self._turn + 1) % len(backends)
        return backends[turn]

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        # Turns go on over all of them. Over the others only, the turn would point elsewhere: with
        # one of three servers refusing, every retry and every turn would meet on the same second.
        while (backend := self.pick(backends, key, now)) in exclude:
            pass
        return backend


class WeightedRoundRobin(Balancer):
    """Turns in proportion to weight, spread out smoothly: weights 5, 1, 1 give a a b a c a a.

    Every backend saves up its weight at each pick; the richest is picked and pays what
    all together saved. (nginx, ngx_http_upstream_round_robin.c, "smooth weighted round robin".)
    """

    def __init__(self) -> None:
        self._saved: dict[Backend, float] = {}

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._saved = {b: self._saved.get(b, 0.0) for b in backends}

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        saved = self._saved
        total = 0.0
        best = backends[0]
        most = float("-inf")
        for backend in backends:
            weight = backend.weight
            total += weight
            saved[backend] = mine = saved.get(backend, 0.0) + weight
            if mine > most:  # the first wins ties
                best, most = backend, mine
        saved[best] -= total
        return best

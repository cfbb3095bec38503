"""Apache httpd's own versions, to the pick; its byrequests is the smooth weighted round robin."""

from __future__ import annotations

from collections.abc import Sequence

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.balance.rotation import WeightedRoundRobin


class ByBusyness(WeightedRoundRobin):
    """Apache `bybusyness`: the fewest in flight, whatever the weight; among equals who saved up most. O(n).

    Everybody saves up at each pick, as in smooth weighted round robin, so weights settle ties only.
    (mod_lbmethod_bybusyness.c.)
    """

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        saved = self._saved
        for backend in backends:
            saved[backend] = saved.get(backend, 0.0) + backend.weight
        best = min(backends, key=lambda b: (b.in_flight, -saved[b]))
        saved[best] -= sum(b.weight for b in backends)
        return best

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        return Why("in flight", {b.name: float(b.in_flight) for b in backends}, "lowest")


class ByTraffic(Balancer):
    """Whoever has moved the fewest bytes for its weight, in requests and answers.

    Evens out what goes over the network when answers differ in size; does not see how many run. Where
    nobody counts bytes, as in the simulator, every request counts as one. (Apache httpd,
    `lbmethod=bytraffic`. O(n) there, too.)
    """

    @staticmethod
    def score(backend: Backend) -> float:
        return (backend.traffic or backend.picks) / backend.weight

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return min(backends, key=self.score)  # the first wins ties

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        return Why("bytes moved / weight", {b.name: self.score(b) for b in backends}, "lowest")

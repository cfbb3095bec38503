"""Apache httpd: bybusyness and bytraffic; its byrequests is smooth weighted round robin."""

from __future__ import annotations

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.balance.round_robin import WeightedRoundRobin


@mypyc_attr(allow_interpreted_subclasses=True)
class ByBusyness(WeightedRoundRobin):
    """Apache `bybusyness`: the fewest in flight, whatever the weight. O(n).

    Among equals the highest current weight wins, as in smooth weighted round robin: weights only settle ties.
    (mod_lbmethod_bybusyness.c.)
    """

    by_weight = False

    def start_at(self, backends: Sequence[Backend], place: float) -> None:
        """Do nothing: httpd starts with the first member."""

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        current = self._current
        for backend in backends:
            current[backend] = current.get(backend, 0.0) + backend.weight
        best = min(backends, key=lambda b: (b.in_flight, -current[b]))
        current[best] -= sum(b.weight for b in backends)
        return best

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        return Why("in flight", {b.name: float(b.in_flight) for b in backends}, "lowest")


@mypyc_attr(allow_interpreted_subclasses=True)
class ByTraffic(Balancer):
    """Apache `bytraffic`: the fewest bytes for its weight, in requests and answers. O(n).

    It evens out network traffic when answers differ in size, and ignores requests in flight: a burst may go
    to one backend, as an answer counts only once it is there. Where bytes are not counted, as in the
    simulator, a request counts 1 when it is sent and 1 when it is answered. (mod_lbmethod_bytraffic.c.)
    """

    @staticmethod
    def score(backend: Backend) -> float:
        return (backend.traffic or 2 * backend.picks - backend.in_flight) / backend.weight

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return min(backends, key=self.score)  # the first wins ties

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        return Why("bytes moved / weight", {b.name: self.score(b) for b in backends}, "lowest")

"""Load reports of servers, with their answers and by probes, for the balancers that use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lbkit.core import AnyPool, Backend
from lbkit.core.meter import LoadMeter
from lbkit.sim.engine import Engine
from lbkit.sim.kinds import PROBE
from lbkit.sim.servers import SimServer


class Reports:
    """Measures the load of each server, and plans the PROBE of each backend that a balancer probes."""

    def __init__(
        self,
        engine: Engine,
        pool: AnyPool,
        servers: Sequence[SimServer],
        server_of: Mapping[Backend, SimServer],
    ) -> None:
        self.engine = engine
        self.pool = pool
        self.server_of = server_of
        self.meters = [LoadMeter(server.spec.workers) for server in servers]
        self.probed: list[Backend] = []
        self.number_of: dict[Backend, int] = {}  # the index in `probed`

    def picked(self, backend: Backend) -> None:
        """A request is sent to a backend."""
        now = self.engine.now
        self.meters[self.server_of[backend].index].started(now)
        for target in self.pool.probe_targets(backend, now):
            number = self.number_of.setdefault(target, len(self.probed))
            if number == len(self.probed):
                self.probed.append(target)
            delay = self.server_of[target].delay
            self.engine.plan(now + delay + delay, PROBE, number)

    def answered(self, backend: Backend, latency: float, ok: bool) -> None:
        """The request's answer arrives, and a report with it; `latency` in seconds since the pick."""
        self.meters[self.server_of[backend].index].ended(self.engine.now, latency, ok)
        self._deliver(backend)

    def failed(self, backend: Backend) -> None:
        """An attempt ends without an answer, and so without a report."""
        self.meters[self.server_of[backend].index].ended(self.engine.now, 0.0, False)

    def probe(self, number: int) -> None:
        """The answer to a probe arrives; `number` is the row of its PROBE."""
        self._deliver(self.probed[number], probed=True)

    def _deliver(self, backend: Backend, probed: bool = False) -> None:
        """Give a server's report to the balancer that this backend belongs to."""
        now = self.engine.now
        report = self.meters[self.server_of[backend].index].report(now)
        self.pool.report(backend, report, now, probed)

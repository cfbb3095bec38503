"""Simulations in bounded memory: requests are drawn in blocks, and a row is reused after its answer."""

from __future__ import annotations

from math import inf, isnan
from typing import Any

from mypy_extensions import mypyc_attr

from lbkit.arrivals import Closed, Sessions
from lbkit.experiment import Experiment
from lbkit.result import Result
from lbkit.server import FIFO
from lbkit.sim import kinds
from lbkit.sim.engine import Handlers
from lbkit.sim.requests import NAN, NOT_PICKED
from lbkit.sim.simulation import MAX_EVENTS, MAX_EVENTS_PER_REQUEST, Simulation
from lbkit.sim.totals import Totals
from lbkit.summary import SummaryResult
from lbkit.workload import Source, Workload

BLOCK = 10_000  # requests


def needs_rows(experiment: Experiment) -> str:
    """Return the first part of an experiment that needs a row for each request; empty if none does."""
    traffic = experiment.traffic
    parts = {
        "admission": experiment.admission,
        "policy.key flow": experiment.policy.keyed_by == "flow",
        "users of a closed loop and sessions": isinstance(traffic.arrivals, Closed | Sessions),
        "traffic.patience": traffic.patience,
        "traffic.bursts": traffic.bursts,
        "routing": experiment.routing,
        "policy.retry": experiment.policy.retry,
        "a cache": experiment.cache,
        "layer 4": experiment.layer4,
        "TLS": experiment.tls,
        "a deploy": experiment.deploy,
        "tiers": experiment.leaves != experiment.servers,
        "geography.balancer": experiment.geography and experiment.geography.balancer,
    }
    if found := [name for name, part in parts.items() if part]:
        return found[0]
    return "" if all(server.discipline == FIFO for server in experiment.leaves) else "processor sharing"


def expected_requests(experiment: Experiment) -> int:
    """Return about how many requests an open loop sends; 0 for closed loops and sessions."""
    arrivals, duration = experiment.traffic.arrivals, experiment.traffic.duration
    if isinstance(arrivals, Closed | Sessions):
        return 0
    return int(arrivals.mean_rate(duration) * duration)


@mypyc_attr(allow_interpreted_subclasses=True)
class SummarisingSimulation(Simulation):
    """A simulation that keeps totals of requests instead of rows."""

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        traffic = experiment.traffic
        self.source = Source(experiment)
        self.block = Workload.empty()
        self.free: list[int] = []  # rows of requests that have ended
        self.totals = Totals(len(experiment.servers), traffic.clients, traffic.warmup, traffic.duration)
        more = MAX_EVENTS + MAX_EVENTS_PER_REQUEST * expected_requests(experiment)
        super().__init__(experiment, max_events or more)
        self.followed = True
        self.straight = self.go_on == self.dispatch  # requests reach the balancer directly
        # Whether any outcome depends on luck; if not, none is drawn.
        self.lucky = bool(self.timeline) or any(s.error_rate for s in experiment.leaves)

    def open_traffic(self, experiment: Experiment) -> Workload:
        return Workload.empty()

    def _handlers(self) -> Handlers:
        handlers = list(super()._handlers())
        self.go_on = handlers[kinds.ARRIVE]
        handlers[kinds.ARRIVE] = self.come
        return handlers

    def run(self, grace: float | None = None) -> Result:
        engine, end = self.engine, inf
        if grace is not None:
            end = self.experiment.traffic.duration + grace
        while len(block := self.source.take(BLOCK)):
            self.block = block
            engine.feed(block.arrival, kinds.ARRIVE)
            engine.run(self, min(end, block.arrival[len(block) - 1]))
        engine.run(self, end)
        if end < inf or self.stuck:
            self.abandon(end if end < inf else max(engine.now, self.experiment.traffic.duration))
        return SummaryResult(self.experiment, "sim", self.totals, self._facts())

    def abandon(self, now: float) -> None:
        requests = self.requests
        unfinished = [row for row in range(len(requests.end)) if isnan(requests.end[row])]
        super().abandon(now)
        for row in unfinished:
            self.count(row)

    def happen(self, kind: int, row: int) -> None:
        if kind == kinds.ARRIVE:
            self.come(row)
        else:
            super().happen(kind, row)

    def come(self, number: int) -> None:
        """Request `number` of the block arrives, and gets a row."""
        requests, block, now = self.requests, self.block, self.engine.now
        client, path, demand = int(block.client[number]), int(block.path[number]), block.demand[number]
        luck = block.luck[number] if self.lucky else 0.0
        if not self.free:
            row = requests.add(now, client, path, demand, luck)
        else:
            row = self.free.pop()
            requests.arrival[row] = now
            requests.client[row] = client
            requests.path[row] = path
            requests.demand[row] = demand
            requests.luck[row] = luck
            requests.start[row] = NAN
            requests.end[row] = NAN
            requests.service[row] = 0.0
            requests.backend[row] = -1
            requests.status[row] = 0
            requests.attempts[row] = 1
            requests.lease[row] = NOT_PICKED
        if self.straight:
            self.dispatch(row)
        else:
            self.go_on(row)

    def ended(self, row: int, ok: bool) -> None:
        super().ended(row, ok)
        self.count(row)
        self.failed.pop(row, None)
        self.free.append(row)

    def count(self, row: int) -> None:
        """Add an ended request to the totals."""
        requests = self.requests
        self.totals.add(
            requests.arrival[row],
            requests.start[row],
            requests.end[row],
            requests.service[row],
            requests.backend[row],
            requests.client[row],
            requests.status[row],
        )

    def columns(self) -> dict[str, Any]:
        return {}

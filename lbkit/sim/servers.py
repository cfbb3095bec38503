"""A server in virtual time: workers, a queue before them, and the ways it can fail."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from lbkit.core import Lease
from lbkit.experiment import Server

if TYPE_CHECKING:
    from lbkit.sim.simulation import Simulation

OK, SERVER_ERROR, BAD_GATEWAY, UNAVAILABLE = 200, 500, 502, 503


class SimServer:
    """Serves up to `workers` requests at once, first come first served; the rest wait or are refused."""

    __slots__ = (
        "delay",
        "error_rate",
        "free",
        "index",
        "places",
        "quantile",
        "queue",
        "running",
        "sim",
        "spec",
        "speed",
        "up",
    )

    def __init__(self, sim: Simulation, spec: Server, index: int) -> None:
        self.sim = sim
        self.spec = spec
        self.index = index  # in the result's `backends`
        self.delay = spec.delay
        self.error_rate = spec.error_rate
        self.quantile = spec.service.quantile
        self.speed = spec.speed
        self.free = spec.workers
        self.places = float("inf") if spec.queue is None else spec.queue
        self.queue: deque[tuple[int, Lease]] = deque()
        self.running: dict[int, Lease] = {}  # row -> lease
        self.up = True

    def receive(self, job: tuple[int, Lease]) -> None:
        """A request (its row and lease) arrives."""
        if not self.up:
            self._after_delay(self.sim.refused, job)
        elif self.error_rate and self.sim.luck[job[0]] < self.error_rate:
            self._answer(job, SERVER_ERROR)
        elif self.free:
            self._start(job)
        elif len(self.queue) < self.places:
            self.queue.append(job)
        else:
            self._answer(job, UNAVAILABLE)

    def _start(self, job: tuple[int, Lease]) -> None:
        sim = self.sim
        row, lease = job
        self.free -= 1
        self.running[row] = lease
        now = sim.engine.now
        sim.start[row] = now
        sim.service[row] = work = self.quantile(sim.demand[row]) / self.speed
        sim.engine.at(now + work, self._complete, row)

    def _complete(self, row: int) -> None:
        lease = self.running.pop(row, None)
        if lease is None:
            return  # it was lost when the server crashed
        self.free += 1
        if self.queue:
            self._start(self.queue.popleft())
        self._answer((row, lease), OK)

    def crash(self) -> None:
        """Running and waiting requests are lost, new ones refused, until it recovers."""
        now = self.sim.engine.now
        lost = [*self.running.items(), *self.queue]
        for row in self.running:
            self.sim.service[row] = now - self.sim.start[row]
        self.running.clear()
        self.queue.clear()
        self.free = self.spec.workers
        self.up = False
        for job in lost:
            self._answer(job, BAD_GATEWAY)

    def recover(self) -> None:
        self.up = True

    def slow(self, factor: float) -> None:
        """Work that starts from now on runs at the usual speed x `factor`."""
        self.speed = self.spec.speed * factor

    def _answer(self, job: tuple[int, Lease], status: int) -> None:
        if self.delay:
            self._after_delay(self.sim.answered, (job, self.index, status))
        else:
            self.sim.answered((job, self.index, status))

    def _after_delay(self, call: object, argument: object) -> None:
        engine = self.sim.engine
        engine.at(engine.now + self.delay, call, argument)  # type: ignore[arg-type]

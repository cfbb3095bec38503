"""A server in virtual time: workers, a queue before them, and the ways it can fail."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from lbkit.core import Backend
from lbkit.experiment import Server

if TYPE_CHECKING:
    from lbkit.sim.simulation import Simulation

Job = tuple[int, Backend, float]  # a request: its row in the columns, who has it, since when

OK, SERVER_ERROR, BAD_GATEWAY, UNAVAILABLE = 200, 500, 502, 503


class SimServer:
    """Serves up to `workers` requests at once, first come first served; the rest wait or are refused."""

    __slots__ = (
        "delay",
        "engine",
        "error_rate",
        "free",
        "index",
        "places",
        "quantile",
        "queue",
        "sim",
        "spec",
        "speed",
        "up",
    )

    def __init__(self, sim: Simulation, spec: Server, index: int) -> None:
        self.sim = sim
        self.engine = sim.engine
        self.spec = spec
        self.index = index  # in the result's `backends`
        self.delay = spec.delay
        self.error_rate = spec.error_rate
        self.quantile = spec.service.quantile
        self.speed = spec.speed
        self.free = spec.workers
        self.places = float("inf") if spec.queue is None else spec.queue
        self.queue: deque[Job] = deque()
        self.up = True

    def receive(self, job: Job) -> None:
        """A request arrives."""
        if not self.up:
            self._after_delay(self.sim.refused, job)
        elif self.error_rate and self.sim.luck[job[0]] < self.error_rate:
            self._answer(job, SERVER_ERROR)
        elif self.free:
            self.free -= 1
            self._start(job)
        elif len(self.queue) < self.places:
            self.queue.append(job)
        else:
            self._answer(job, UNAVAILABLE)

    def _start(self, job: Job) -> None:
        """A worker turns to the request."""
        sim = self.sim
        row = job[0]
        sim.start[row] = now = self.engine.now
        sim.service[row] = work = self.quantile(sim.demand[row]) / self.speed
        self.engine.at(now + work, self._complete, job)

    def _complete(self, job: Job) -> None:
        if self.queue:
            self._start(self.queue.popleft())
        else:
            self.free += 1
        if self.delay:
            self._answer(job, OK)
        else:
            self.sim.answered(self.index, OK, job)

    def crash(self) -> None:
        """Running and waiting requests are lost, new ones refused, until it recovers."""
        sim = self.sim
        running = self.engine.cancel(self._complete)
        for row, *_ in running:
            sim.service[row] = self.engine.now - sim.start[row]
        lost = [*running, *self.queue]
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

    def _answer(self, job: Job, status: int) -> None:
        if self.delay:
            self._after_delay(partial(self.sim.answered, self.index, status), job)
        else:
            self.sim.answered(self.index, status, job)

    def _after_delay(self, call: Callable[[Job], object], job: Job) -> None:
        self.engine.at(self.engine.now + self.delay, call, job)

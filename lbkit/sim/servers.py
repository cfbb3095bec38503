"""A server in virtual time: workers, a queue before them, and the ways it can fail."""

from __future__ import annotations

from collections import deque

from lbkit.experiment import Server
from lbkit.sim.engine import Engine
from lbkit.sim.kinds import COMPLETE
from lbkit.sim.requests import NAN, Requests

OK, SERVER_ERROR, UNAVAILABLE = 200, 500, 503
# Other outcomes for a request sent to a server: it is served in its turn, or the connection is refused.
ACCEPTED, REFUSED = 0, -1


class SimServer:
    """Serves up to `workers` requests at once, first come first served; the rest wait or are refused.

    Plans the COMPLETE of each request that it serves. The network is not part of it."""

    __slots__ = (
        "delay",
        "engine",
        "error_rate",
        "free",
        "index",
        "places",
        "quantile",
        "queue",
        "requests",
        "spec",
        "speed",
        "up",
    )

    def __init__(self, spec: Server, index: int, engine: Engine, requests: Requests) -> None:
        self.engine = engine
        self.requests = requests
        self.spec = spec
        self.index = index  # in the result's `backends`
        self.delay = spec.delay  # seconds to it, and back from it
        self.error_rate = spec.error_rate
        self.quantile = spec.service.quantile
        self.speed = spec.speed
        self.free = spec.workers
        self.places = float("inf") if spec.queue is None else spec.queue
        self.queue: deque[int] = deque()  # rows that wait for a worker
        self.up = True

    def receive(self, row: int) -> int:
        """What comes of a request that arrives: ACCEPTED, REFUSED, or the status of an answer at once."""
        if not self.up:
            return REFUSED
        if self.error_rate and self.requests.luck[row] < self.error_rate:
            return SERVER_ERROR
        if self.free:
            self.free -= 1
            self._start(row)
        elif len(self.queue) < self.places:
            self.queue.append(row)
        else:
            return UNAVAILABLE
        return ACCEPTED

    def _start(self, row: int) -> None:
        """A worker begins with the request."""
        requests, engine = self.requests, self.engine
        requests.start[row] = now = engine.now
        requests.service[row] = work = self.quantile(requests.demand[row]) / self.speed
        engine.plan(now + work, COMPLETE, row)

    def complete(self) -> None:
        """A worker has completed its request, and takes the next one."""
        if self.queue:
            self._start(self.queue.popleft())
        else:
            self.free += 1

    def crash(self) -> list[int]:
        """Lose all requests and refuse new ones, until `recover`. Returns the rows of those that were lost.

        First the running ones, in the order in which they would have ended, then the queue."""
        requests = self.requests
        lost = self.engine.cancel(COMPLETE, lambda row: requests.backend[row] == self.index)
        for row in lost:
            requests.start[row], requests.service[row] = NAN, 0.0
        lost += self.queue
        self.queue.clear()
        self.free = self.spec.workers
        self.up = False
        return lost

    def recover(self) -> None:
        self.up = True

    def slow(self, factor: float) -> None:
        """Work that starts from now on runs at the usual speed x `factor`."""
        self.speed = self.spec.speed * factor

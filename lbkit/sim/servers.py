"""A server in virtual time: workers, a queue before them, and the ways it can fail."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from math import inf, log
from types import SimpleNamespace
from typing import Any, Final

from mypy_extensions import mypyc_attr

from lbkit.core.sharing import ProcessorSharing
from lbkit.core.vectors import COMPILED
from lbkit.distributions import Exponential, Service
from lbkit.draws import stream
from lbkit.experiment import Server
from lbkit.server import FIFO, PROCESSOR_SHARING
from lbkit.sim.chaos import Chaos
from lbkit.sim.engine import Engine
from lbkit.sim.kinds import BOOT, COMPLETE, RECEIVE, SHARE
from lbkit.sim.network import varying
from lbkit.sim.requests import NAN, Requests

OK, SERVER_ERROR, UNAVAILABLE = 200, 500, 503
# Other outcomes: the request is served in its turn, or the connection is refused.
ACCEPTED, REFUSED = 0, -1
NO_LIMIT: Final = 1 << 60  # places in a queue: more than there are requests


class Work:
    """The service times of a server, by their quantiles."""

    def __init__(self, service: Service) -> None:
        self.quantile = service.quantile

    def seconds(self, quantile: float) -> float:
        return self.quantile(quantile)


class ExponentialWork(Work):
    """Exponential service times, the usual case: compiled, they need no call through an object."""

    def __init__(self, service: Exponential) -> None:
        super().__init__(service)
        self.mean = service.mean

    def seconds(self, quantile: float) -> float:
        return -self.mean * log(1.0 - quantile)


def work_of(service: Service) -> Work:
    """Return the work of a server. Interpreted, the shortest way is the service's own method."""
    if COMPILED:
        return ExponentialWork(service) if isinstance(service, Exponential) else Work(service)
    else:
        return SimpleNamespace(seconds=service.quantile)


@mypyc_attr(allow_interpreted_subclasses=True)
class SimServer:
    """Serves up to `workers` requests at once, first come first served; the rest wait or are refused.

    Plans the COMPLETE of each request that it serves. The network is not part of it."""

    def __init__(self, spec: Server, index: int, seed: int, engine: Engine, requests: Requests) -> None:
        self.engine = engine
        self.requests = requests
        self.spec = spec
        self.index = index  # in the result's `backends`
        self.jitter = stream(seed, f"jitter/{spec.name}")
        # Seconds to it, and back from it, for most: a float, or a Delay, which draws.
        self.delay: Any = 0.0
        self.distance = 0.0  # the part of `delay` due to geography
        self.offsets: array[float] | None = None  # by client: the difference from `delay`
        self.set_delay(0.0)
        self.error_rate = spec.error_rate
        self.work = work_of(spec.service)
        self.speed = spec.speed
        self.free = spec.workers
        self.places = NO_LIMIT if spec.queue is None else spec.queue
        self.queue: deque[int] = deque()  # rows that wait for a worker
        self.up = True
        self.up_at = inf  # when a boot ends
        self.chaos = Chaos(requests, spec.dependencies)
        self.frozen: list[int] = []  # rows that were being served when it began to hang
        self.plain = True  # up, and nothing is wrong with it: a request need not ask what

    @property
    def healthy(self) -> bool:
        """Whether its health page says so, while it answers."""
        return True

    def receive(self, row: int) -> int:
        """Return the outcome of a request that arrives: ACCEPTED, REFUSED, or the status of an answer."""
        if not self.plain and (outcome := self._disturbed(row)) is not None:
            return outcome
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

    def _disturbed(self, row: int) -> int | None:
        """Return the outcome of a request at a server that is down or disturbed; None if it is as usual."""
        if not self.up:
            return REFUSED
        if self.chaos.takes(row):
            return ACCEPTED
        return SERVER_ERROR if self.chaos.fails(row) else None

    def _settle(self) -> None:
        """The state has changed: does a request have to ask?"""
        self.plain = self.up and not self.chaos

    def _start(self, row: int) -> None:
        """A worker begins with the request."""
        requests, engine = self.requests, self.engine
        requests.start[row] = now = engine.now
        requests.service[row] = work = self.work.seconds(requests.demand[row]) / self.speed
        engine.plan(now + work, COMPLETE, row)

    def complete(self) -> None:
        """A worker has completed its request, and takes the next one."""
        if self.queue:
            self._start(self.queue.popleft())
        else:
            self.free += 1

    # -- failures ------------------------------------------------------------------------------

    def crash(self) -> list[int]:
        """Lose all requests and refuse new ones, until `recover`. Returns the rows of those that were lost.

        First the running ones, in the order in which they would have ended, then the queue."""
        lost = self.frozen + self._lose_running()
        self.frozen = []
        for row in lost:
            self.requests.start[row], self.requests.service[row] = NAN, 0.0
        lost += self.queue
        self.queue.clear()
        lost += self.chaos.crash()
        self.free = self.spec.workers
        self.up, self.up_at = False, inf
        self._settle()
        return lost

    def drop(self, wanted: Callable[[int], bool]) -> list[int]:
        """Drop the `wanted` requests, as their connections are closed; workers go on with the next ones."""
        waiting = [row for row in self.queue if wanted(row)]
        for row in waiting:
            self.queue.remove(row)
        return waiting + self._drop_running(wanted)

    def _drop_running(self, wanted: Callable[[int], bool]) -> list[int]:
        requests = self.requests
        running = self.engine.cancel(
            COMPLETE, lambda row: requests.backend[row] == self.index and wanted(row)
        )
        for _ in running:
            self.complete()
        return running

    def _lose_running(self) -> list[int]:
        requests = self.requests
        return self.engine.cancel(COMPLETE, lambda row: requests.backend[row] == self.index)

    def recover(self) -> None:
        """Run as usual again: at once, or from the end of its boot on if it is down."""
        self.speed = self.spec.speed
        self.set_delay(0.0)
        if self.chaos.hung:
            self._go_on()
        for row in self.chaos.calm():
            self.engine.plan(self.engine.now, RECEIVE, row)
        if not self.up and self.spec.boot:
            if self.up_at == inf:
                self.up_at = self.engine.now + self.spec.boot
                self.engine.plan(self.up_at, BOOT, self.index)
        else:
            self.up = True
        self._settle()

    def booted(self) -> None:
        """A boot ends; unless a crash ended it before."""
        if self.up_at == self.engine.now:
            self.up, self.up_at = True, inf
            self._settle()

    def slow(self, factor: float) -> None:
        """Work that starts from now on runs at the usual speed x `factor`, until a crash or `recover`."""
        self.speed = self.spec.speed * factor

    # -- chaos ---------------------------------------------------------------------------------

    def hang(self) -> None:
        """Stop: accept connections, and do nothing, until `recover` lets all go on."""
        if not self.up or self.chaos.hung:
            return
        self.chaos.hung, self.chaos.hung_at = True, self.engine.now
        self._settle()
        self._freeze()

    def _freeze(self) -> None:
        self.frozen = self._lose_running()

    def _go_on(self) -> None:
        """The running requests take as much longer as the server hung."""
        requests, now = self.requests, self.engine.now
        for row in self.frozen:
            requests.service[row] += now - self.chaos.hung_at
            self.engine.plan(max(now, requests.start[row] + requests.service[row]), COMPLETE, row)
        self.frozen = []

    def lose(self, share: float) -> None:
        """Leave a share of the requests without an answer."""
        self.chaos.losing = share if self.up else 0.0
        self._settle()

    def fail(self, share: float) -> None:
        """Answer a share of the clients with errors."""
        self.chaos.failing = share if self.up else 0.0
        self._settle()

    def set_delay(self, more: float) -> None:
        """Have the network to it take `more` seconds longer, each way."""
        spec = self.spec
        self.delay = least = spec.delay + self.distance + more
        if spec.delay_jitter:
            self.delay = varying(least, spec.delay_jitter, self.jitter)

    def move_away(self, distance: float, by_client: array[float] | None = None) -> None:
        """Place the server `distance` seconds away, on average if `by_client` has each client's distance."""
        self.distance = distance
        self.offsets = None if by_client is None else array("d", [one - distance for one in by_client])
        self.set_delay(0.0)

    def delay_of(self, row: int) -> Any:
        """Return the seconds on the network for a request, one way: a float, or a Delay."""
        if self.offsets is None:
            return self.delay
        # Added to 0, as a delay that varies is drawn by an addition.
        return max(0.0, 0.0 + self.delay + self.offsets[self.requests.client[row]])

    def set_dependency(self, name: str, state: str) -> None:
        """One of its dependencies, if it has it, has another state."""
        if name in self.chaos.states:
            self.chaos.states[name] = state
            self._settle()


@mypyc_attr(allow_interpreted_subclasses=True)
class SharingServer(SimServer):
    """Serves all its requests at once, each at an even share of its speed: none waits, all take longer.

    Plans a SHARE for the moment when the next one will be complete. Each request that joins or ends makes
    that another moment, so some come too early: then nothing is complete."""

    def __init__(self, spec: Server, index: int, seed: int, engine: Engine, requests: Requests) -> None:
        super().__init__(spec, index, seed, engine, requests)
        self.sharing: ProcessorSharing[int] = ProcessorSharing(spec.workers)
        self.places += spec.workers

    def receive(self, row: int) -> int:
        requests, engine, sharing = self.requests, self.engine, self.sharing
        if not self.plain and (outcome := self._disturbed(row)) is not None:
            return outcome
        if self.error_rate and requests.luck[row] < self.error_rate:
            return SERVER_ERROR
        if len(sharing) >= self.places:
            return UNAVAILABLE
        requests.start[row] = now = engine.now
        requests.service[row] = work = self.work.seconds(requests.demand[row]) / self.speed
        sharing.join(row, work, now)
        engine.plan(sharing.due, SHARE, self.index)
        return ACCEPTED

    def end(self) -> int | None:
        """Return the row of a request that is complete now; None if there is none."""
        row = self.sharing.end(self.engine.now)
        if row is not None and self.sharing.due < inf:
            self.engine.plan(self.sharing.due, SHARE, self.index)
        return row

    def _drop_running(self, wanted: Callable[[int], bool]) -> list[int]:
        running = [row for row in self.sharing.jobs() if wanted(row)]
        for row in running:
            self.sharing.leave(row, self.engine.now)
        if running and self.sharing.due < inf:
            self.engine.plan(self.sharing.due, SHARE, self.index)
        return running

    def _lose_running(self) -> list[int]:
        return self.sharing.clear()

    def _freeze(self) -> None:
        self.sharing.pause(self.engine.now)

    def _go_on(self) -> None:
        self.sharing.resume(self.engine.now)
        if self.sharing.due < inf:
            self.engine.plan(self.sharing.due, SHARE, self.index)


SERVERS: dict[str, type[SimServer]] = {FIFO: SimServer, PROCESSOR_SHARING: SharingServer}

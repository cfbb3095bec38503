"""The order in which a backend process serves its requests, on a real clock."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from lbkit.core.sharing import ProcessorSharing
from lbkit.server import FIFO, PROCESSOR_SHARING

Then = Callable[[], Awaitable[object]]
LATE = 0.01  # seconds at most that are made up for: a process that was frozen does not run faster then


class Discipline(Protocol):
    """Serves requests with `workers` workers."""

    def __init__(self, workers: int) -> None: ...

    @property
    def present(self) -> int:
        """The number of requests that are served or wait."""

    async def serve(
        self, work: Callable[[], float], burn: bool, then: Then | None = None
    ) -> tuple[float, float]:
        """Return the start on the clock of time.monotonic, and the service time, when the request is served.

        `work` gives the seconds of work, when it begins; `burn`: compute instead of sleeping. `then`: what
        the worker does, or waits for, after that."""


class FirstCome:
    """First come, first served: up to `workers` requests at once."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.free = workers
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.late = 0.0  # seconds spent on requests so far beyond what they were worth

    @property
    def present(self) -> int:
        return self.workers - self.free + len(self.waiting)

    async def serve(
        self, work: Callable[[], float], burn: bool, then: Then | None = None
    ) -> tuple[float, float]:
        if self.free:
            self.free -= 1
        else:
            turn = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn in self.waiting:
                    self.waiting.remove(turn)
                elif turn.done() and not turn.cancelled():
                    self._next()  # the worker was ours already: hand it on
                raise
        start = time.monotonic()
        try:
            await (_burn(work()) if burn else self._sleep(work()))
            if then:
                await then()
        finally:
            self._next()
        return start, time.monotonic() - start

    async def _sleep(self, seconds: float) -> None:
        # Timers wake late, by half a millisecond or so. What one request took too long, the next is shortened
        # by: without this a server would be slower than the experiment says.
        start = time.monotonic()
        await asyncio.sleep(max(0.0, seconds - self.late))
        self.late = min(self.late + time.monotonic() - start - seconds, LATE)

    def _next(self) -> None:
        """Called when a worker is done: start the next waiting request."""
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.free += 1


class Sharing:
    """Processor sharing: all requests at once, each at an even share of the workers' speed.

    The same arithmetic as in the simulator says when each ends; a timer that is late delays none after it."""

    def __init__(self, workers: int) -> None:
        self.sharing: ProcessorSharing[asyncio.Future[None]] = ProcessorSharing(workers)
        self.timer: asyncio.TimerHandle | None = None

    @property
    def present(self) -> int:
        return len(self.sharing)

    async def serve(
        self, work: Callable[[], float], burn: bool, then: Then | None = None
    ) -> tuple[float, float]:
        served = asyncio.get_running_loop().create_future()
        self._end_due()
        start, seconds = time.monotonic(), work()
        self.sharing.join(served, seconds, start)
        self._end_due()
        while burn and not served.done():
            await asyncio.sleep(0)
        try:
            await served
        except asyncio.CancelledError:  # a client has left, and the server stops the work
            self._end_due()
            self.sharing.leave(served, time.monotonic())
            self._end_due()
            raise
        if then:  # its share is free for others meanwhile
            await then()
        return start, seconds

    def _end_due(self) -> None:
        """End the requests that are due, and wake for the next one."""
        while (served := self.sharing.end(time.monotonic())) is not None:
            if not served.done():
                served.set_result(None)
        if self.timer:
            self.timer.cancel()
            self.timer = None
        if self.sharing:
            wait = max(0.0, self.sharing.due - time.monotonic())
            self.timer = asyncio.get_running_loop().call_later(wait, self._end_due)


async def _burn(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        await asyncio.sleep(0)  # one core, shared with the others that are served


DISCIPLINES: dict[str, type[Discipline]] = {FIFO: FirstCome, PROCESSOR_SHARING: Sharing}

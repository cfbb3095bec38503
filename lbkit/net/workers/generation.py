"""The workers of one configuration: started together, restarted one by one, retired together.

Each worker accepts on a listening socket of its own. The kernel keeps spreading connections over all of
them, so the socket of a worker that is down goes to another at once. While no worker runs, a stand-in answers
503.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count as counter
from typing import Any

from lbkit.net.modes import AnyConfig
from lbkit.net.running import ProxyError
from lbkit.net.workers.orders import Order, OrderError
from lbkit.net.workers.stand_in import StandIn
from lbkit.net.workers.worker import READY

START_TIMEOUT = 20.0  # seconds in which a worker must start
FIRST_DELAY, MAX_DELAY = 0.2, 10.0  # seconds before a restart; doubled while restarts fail
STEADY = 10.0  # seconds of running after which the delay starts at FIRST_DELAY again
PATIENCE = 1.0  # seconds that connections wait for a worker before the stand-in answers 503
MAX_REASON = 1 << 24  # bytes that a worker may write in one line
ANSWER_TIMEOUT = 5.0  # seconds in which a worker must answer an order
SLACK = 2.0  # seconds beyond the grace in which a worker must exit by itself

_numbers = counter(1)  # of generations


class WorkerProcess:
    """The supervisor's handle of a worker."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.duty: list[int] = []
        self.serves = False  # it has started, and answers orders
        self._asking = asyncio.Lock()
        self._asked = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    def write_line(self, line: object) -> None:
        """Write a line of JSON to the worker's input."""
        if self.process.stdin and not self.process.stdin.is_closing():
            self.process.stdin.write(json.dumps(line).encode() + b"\n")

    async def send_order(self, order: Order, timeout: float = ANSWER_TIMEOUT) -> Any:
        """Have the worker carry out an order; return the result. Raises OrderError, TimeoutError."""
        assert self.process.stdout
        async with asyncio.timeout(timeout), self._asking:
            self._asked += 1
            self.write_line({**order, "number": self._asked})
            while line := await self.process.stdout.readline():
                answer = json.loads(line)
                if answer["number"] != self._asked:
                    continue  # an answer to an earlier order, which has timed out
                if "error" in answer:
                    raise OrderError(answer["error"])
                return answer["result"]
        raise OrderError(f"worker {self.pid} has ended: try again")

    def accept_on(self, duty: list[int]) -> None:
        if duty != self.duty:
            self.duty = duty
            self.write_line(duty)

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def wait(self) -> str:
        """Wait until the worker has ended; return how it ended."""
        code = await self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


class Generation:
    """Workers that serve `config` on `sockets`, at least one socket for each worker."""

    def __init__(
        self,
        config: AnyConfig,
        sockets: Sequence[socket.socket],
        count: int,
        say: Callable[[str], object],
        rng: random.Random,
        standing: Mapping[str, Order],
    ) -> None:
        """`rng` draws the workers' seeds and the places where their rotations start. `standing` has the
        operator's orders that hold over reloads; a worker that starts gets them."""
        self.number = next(_numbers)
        self.standing = standing
        self.own: dict[str, Order] = {}  # orders that hold until the next reload
        self.config = config
        self.sockets = sockets
        self.say = say
        self.rng = rng
        self._start = rng.random()  # the start of the first worker's rotation; the others are spaced evenly
        self.ready: list[WorkerProcess | None] = [None] * count
        self.alive: set[WorkerProcess] = set()  # those that are starting, serving or ending
        self._keepers: list[asyncio.Task[None]] = []
        self._at_once = asyncio.Semaphore(os.cpu_count() or 1)  # more starting at once would be slower
        self._stand_in: StandIn | None = None
        self._calling: asyncio.TimerHandle | None = None  # the stand-in
        self._retired = False

    # -- starting ---------------------------------------------------------------------------

    async def start(self) -> None:
        """Start all workers, or none. Raises ProxyError with the reason of the first that fails."""
        starting = [asyncio.ensure_future(self._launch(slot)) for slot in range(len(self.ready))]
        try:
            self.ready = list(await asyncio.gather(*starting))
        except BaseException:
            for task in starting:
                task.cancel()
            self._retired = True
            self.signal_all(signal.SIGKILL)
            for worker in self.alive:
                self._reap(worker)  # those that were ready, too: they have no keeper yet
            await self.ended()
            raise
        self._keepers = [asyncio.ensure_future(self._keep(slot)) for slot in range(len(self.ready))]

    async def _launch(self, slot: int) -> WorkerProcess:
        """Start a worker; return it once it serves. Raises ProxyError."""
        numbers = [sock.fileno() for sock in self.sockets]
        async with self._at_once:
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "lbkit.net.workers.worker", *map(str, numbers)),
                    stdin=PIPE,
                    stdout=PIPE,
                    pass_fds=numbers,
                    limit=MAX_REASON,
                    start_new_session=True,  # Ctrl-C goes to the supervisor only, which stops its workers
                )
            except OSError as error:
                raise ProxyError(f"cannot start a process: {error.strerror}") from None
            worker = WorkerProcess(process)
            self.alive.add(worker)
            try:
                worker.write_line(self.config.to_dict())
                start = (self._start + slot / len(self.ready)) % 1
                seed = self.rng.getrandbits(32)
                told = {**self.standing, **self.own}
                worker.write_line({"seed": seed, "start": start, "orders": list(told.values())})
                worker.accept_on(numbers[slot :: len(self.ready)])
                assert process.stdout
                async with asyncio.timeout(START_TIMEOUT):
                    line = await process.stdout.readline()
                said = json.loads(line) if line else f"it ended at once ({await worker.wait()})"
                if said != READY:
                    raise ProxyError(said)
                while missed := [o for o in {**self.standing, **self.own}.items() if o not in told.items()]:
                    for name, order in missed:  # orders that came in the meantime
                        told[name] = order
                        with suppress(OrderError):
                            await worker.send_order(order)
                worker.serves = True
            except TimeoutError:
                raise ProxyError(f"it was not ready within {START_TIMEOUT:g} s") from None
            finally:
                if not worker.serves:
                    worker.send(signal.SIGKILL)
                    self._reap(worker)
            return worker

    def _reap(self, worker: WorkerProcess) -> None:
        """Wait for a worker to end, and remove it."""
        task = asyncio.ensure_future(worker.wait())
        task.add_done_callback(lambda _: self.alive.discard(worker))

    # -- running ----------------------------------------------------------------------------

    async def _keep(self, slot: int) -> None:
        """Keep a worker running in this slot: start another when it ends."""
        loop = asyncio.get_running_loop()
        delay = FIRST_DELAY
        worker = self.ready[slot]
        while True:
            if worker:
                began = loop.time()
                how = await worker.wait()
                self.alive.discard(worker)
                self.ready[slot] = None
                self._share_out()
                if loop.time() - began > STEADY:
                    delay = FIRST_DELAY
                fault = f"worker {worker.pid} ended ({how})"
            self.say(f"{fault}; starting another in {delay:g} s")
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_DELAY)
            try:
                worker = self.ready[slot] = await self._launch(slot)
            except ProxyError as error:
                worker = None
                fault = f"a worker did not start: {error}"
            self._share_out()

    async def send_order(self, order: Order) -> list[Any]:
        """Have all workers carry out an order; return their results. Raises OrderError."""
        ready = [worker for worker in self.ready if worker]
        if not ready:
            raise OrderError("no worker is running: try again")
        try:
            return await asyncio.gather(*(worker.send_order(order) for worker in ready))
        except TimeoutError:
            raise OrderError(f"a worker did not answer within {ANSWER_TIMEOUT:g} s: try again") from None

    def _share_out(self) -> None:
        """Assign each socket to its own worker, or to another one while that is down."""
        ready = [worker for worker in self.ready if worker]
        if not ready:
            if not self._stand_in and not self._calling:
                self._calling = asyncio.get_running_loop().call_later(PATIENCE, self._call_stand_in)
            return
        self._dismiss_stand_in()
        duties: dict[WorkerProcess, list[int]] = {worker: [] for worker in ready}
        for i, sock in enumerate(self.sockets):
            own = self.ready[i % len(self.ready)]
            duties[own or ready[i % len(ready)]].append(sock.fileno())
        for worker, duty in duties.items():
            worker.accept_on(duty)

    def _call_stand_in(self) -> None:
        self._calling = None
        self._stand_in = StandIn(self.config.tls, self.config.mode)
        self.say(f"no worker is running: {self._stand_in.does} until one is")
        self._standing = asyncio.ensure_future(self._stand_in.start(self.sockets))

    def _dismiss_stand_in(self) -> None:
        if self._calling:
            self._calling.cancel()
            self._calling = None
        if self._stand_in:
            self._stand_in.stop()
            self._stand_in = None

    # -- ending -----------------------------------------------------------------------------

    def retire(self, replaced: bool = False) -> None:
        """Stop accepting; requests in flight have the grace to finish. `replaced`: a new generation serves
        already, so there is time to announce to clients that connections close."""
        if self._retired:
            return
        self._retired = True
        self._dismiss_stand_in()
        for keeper in self._keepers:
            keeper.cancel()  # kills a worker that is still starting
        for worker in self.ready:
            if worker:
                if replaced:
                    worker.accept_on([])
                else:
                    worker.send(signal.SIGTERM)
                self._reap(worker)

    def signal_all(self, number: signal.Signals) -> None:
        for worker in self.alive:
            worker.send(number)

    async def ended(self) -> None:
        """Wait for all workers to end; kill those that still run SLACK seconds after the grace."""
        loop = asyncio.get_running_loop()
        last = loop.time() + self.config.grace + SLACK
        while self.alive:
            waits = [asyncio.ensure_future(worker.process.wait()) for worker in self.alive]
            _, late = await asyncio.wait(waits, timeout=max(0.0, last - loop.time()))
            if late:
                self.signal_all(signal.SIGKILL)
            await asyncio.gather(*waits)
            await asyncio.sleep(0)

"""A process that serves: a supervisor's worker, or the only process where ports cannot be shared.

A worker's arguments are the numbers of inherited listening sockets. On standard input it reads lines of JSON:
its configuration; a table with its seed, the start of its rotation and the standing orders; then lists of
sockets to accept on, and orders as tables (see `orders`). It takes over the socket of a worker that is
down, and retires when it is given none. It writes one line, READY or the reason why it cannot start, and then
one line for each order, with the order's number. It stops at the end of its input.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from lbkit.core.state_change import StateChange
from lbkit.net.config import ConfigError
from lbkit.net.loop import new_event_loop
from lbkit.net.modes import AnyConfig, config_of, proxy_of
from lbkit.net.preflight import start_faults
from lbkit.net.running import Accepting, ProxyError
from lbkit.net.workers.orders import Order, carry_out
from lbkit.net.workers.report import Process, note

READY = "ready"
NOTICE = 1.0  # seconds in which a reload lets kept connections close
_status = 1  # the descriptor that the supervisor reads


def serve_alone(config: AnyConfig, on_ready: Callable[[str], object]) -> None:
    """Serve in this process until SIGTERM or SIGINT (Windows: Ctrl-C). `on_ready` gets the URL.

    Raises ConfigError and ProxyError."""
    rng = random.Random(config.seed or None)
    proxy = proxy_of(config, config.pool(rng.getrandbits(32), rng.random()))

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt instead
                loop.add_signal_handler(number, proxy.shut, config.grace)
        await proxy.serve(None, lambda: on_ready(proxy.url))

    with asyncio.Runner(loop_factory=new_event_loop) as runner, suppress(KeyboardInterrupt):
        runner.run(serve())


class Worker:
    """Accepts connections on the inherited sockets that the supervisor assigns to it."""

    def __init__(self, config: AnyConfig, sockets: Iterable[int], orders: Iterator[bytes]) -> None:
        """`orders` yields the lines of standard input after the first. Raises ConfigError."""
        self.config = config
        made = json.loads(next(orders))
        self.standing: list[Order] = made.pop("orders")
        last: dict[str, StateChange] = {}
        pool = config.pool(**made, on_change=partial(note, last) if config.admin else None)
        self.proxy = proxy_of(config, pool)
        self.process = Process(self.proxy, pool, config, last)
        self.sockets = {number: socket.socket(fileno=number) for number in sockets}
        self.orders = orders
        self.duty: list[int] = json.loads(next(orders))
        self.first = self.duty[0]  # the proxy holds this one until the end
        self.servers: dict[int, Accepting] = {}
        self.changes: asyncio.Queue[list[int] | dict[str, Any]] = asyncio.Queue()
        self.stopping = False

    async def run(self, on_ready: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        self.changes.put_nowait(self.duty)
        following = loop.create_task(self._follow())

        def ready() -> None:
            for order in self.standing:  # a reload may have removed the backend: that is no fault
                carry_out(self.process, order)
            on_ready()
            threading.Thread(target=self._read_input, args=(loop,), daemon=True).start()

        try:
            await self.proxy.serve(self.sockets[self.first].dup(), ready)
        finally:
            following.cancel()

    def stop(self, notice: float = 0.0) -> None:
        """Stop accepting, and finish the requests in flight; `notice` as in `Proxy.shut`."""
        self.stopping = True
        for server in self.servers.values():
            server.close()
        self.servers.clear()
        self.proxy.shut(self.config.grace, notice)
        # A socket left open here would keep a port that the supervisor has given up.
        while self.sockets:
            self.sockets.popitem()[1].close()

    async def _follow(self) -> None:
        """Open and close servers to match the assigned sockets."""
        while True:
            change = await self.changes.get()
            if isinstance(change, dict):
                say(self._obey(change))
                continue
            wanted = set(change)
            if not wanted:
                self.stop(NOTICE)
            for number in self.servers.keys() - wanted:
                self.servers.pop(number).close()
            for number in wanted - self.servers.keys() - {self.first}:
                if self.stopping or number not in self.sockets:
                    continue
                self.servers[number] = await self.proxy.accept(self.sockets[number].dup())

    def _obey(self, order: Order) -> Order:
        """Carry out an order; return its answer."""
        number = order.pop("number")
        return {"number": number, **carry_out(self.process, order)}

    def _read_input(self, loop: asyncio.AbstractEventLoop) -> None:
        # sys.stdin.read() would hold a lock that the interpreter needs at shutdown.
        with suppress(RuntimeError):  # the loop has been closed
            for line in self.orders:
                loop.call_soon_threadsafe(self.changes.put_nowait, json.loads(line))
            loop.call_soon_threadsafe(self.stop)


def lines() -> Iterator[bytes]:
    """Yield the lines of standard input as they arrive."""
    before = b""
    while data := os.read(0, 65536):
        *whole, before = (before + data).split(b"\n")
        yield from whole


def main() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the supervisor stops its workers
    global _status
    # Output of a learner's algorithm must not be mistaken for a status line, or fill the pipe.
    _status = os.dup(1)
    os.dup2(2, 1)
    orders = lines()
    try:
        config = config_of(json.loads(next(orders)))
        if faults := start_faults(config):
            raise ConfigError("\n".join(faults))
        worker = Worker(config, map(int, sys.argv[1:]), orders)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(worker.run(lambda: say(READY)))
    except (StopIteration, BrokenPipeError):
        return  # the supervisor has gone
    except (ConfigError, ProxyError, OSError) as error:
        say(str(error))
        sys.exit(1)
    except Exception as error:  # raised by a learner's algorithm, or by the proxy
        traceback.print_exc()
        say(f"{type(error).__name__}: {error}")
        sys.exit(1)


def say(what: object) -> None:
    """Write a line to the supervisor."""
    line = memoryview(json.dumps(what).encode() + b"\n")
    while line:  # a pipe may take less than all of a long one
        line = line[os.write(_status, line) :]


if __name__ == "__main__":
    main()

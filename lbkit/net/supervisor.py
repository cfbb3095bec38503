"""The process behind `lbkit proxy` where ports can be shared: it owns the listening sockets and the workers.

Each worker borrows one of the sockets, which share a port (SO_REUSEPORT: the kernel spreads connections over
them). A reload starts new workers on the same sockets before the old ones stop, so no connection is refused
or lost in between.
"""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from lbkit.net.address import join_address
from lbkit.net.admin import Admin
from lbkit.net.config import ConfigError
from lbkit.net.listening import listen, running_mark, stop_listening, try_listen
from lbkit.net.modes import AnyConfig, load_config
from lbkit.net.preflight import notes
from lbkit.net.running import ProxyError
from lbkit.net.workers.control import MAX_RETIRING, Control
from lbkit.net.workers.generation import Generation


def say(text: str) -> None:
    """Write each line to standard error. A failure to write does not stop the proxy."""
    with suppress(OSError, ValueError):
        for line in text.splitlines():
            print(f"lbkit proxy: {line}", file=sys.stderr, flush=True)


class Supervisor:
    """Keeps workers running, and replaces them on reload. A signal during a reload causes another reload."""

    def __init__(self, path: str | Path, config: AnyConfig, workers: int | None) -> None:
        self.path = path
        self.config = config
        self.workers = workers  # from the command line; None: as in the file
        self.rng = random.Random(config.seed or None)  # shared, so that each reload starts elsewhere
        self.host, self.port = config.address
        self.sockets: list[socket.socket] = []
        self.generations: list[Generation] = []  # the last one is serving or starting
        self._reload_wanted = asyncio.Event()
        self._waiters: list[asyncio.Future[list[str]]] = []  # for the end of the next reload
        self._serving: asyncio.Task[None] | None = None
        self._retirements: set[asyncio.Task[None]] = set()
        self._mark: socket.socket | None = None
        self._admin: Admin | None = None
        self.control = Control(self.generations, say, self.reload)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises ProxyError if the proxy cannot start."""
        with asyncio.Runner() as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        self._serving = loop.create_task(self._serve())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)
        try:
            await self._serving
        except asyncio.CancelledError:
            pass  # `_stop` cancels it
        finally:
            await self._end()

    def _stop(self) -> None:
        """Shut down gracefully on the first signal, and at once on the second."""
        assert self._serving
        if not self._serving.done() and not self._serving.cancelling():
            self._serving.cancel()
            return
        for generation in self.generations:
            generation.signal_all(signal.SIGKILL)

    async def _serve(self) -> None:
        config = self.config
        if self.port:
            try_listen(self.host, self.port, config.socket_kind)
        self.sockets = self._listen(self.host, self.port, self._count(config), [])
        generation = Generation(
            config, self.sockets, self._count(config), say, self.rng, self.control.intents
        )
        self.generations.append(generation)
        await generation.start()
        self._mark = running_mark(self.path, config.listen)
        if config.admin:
            self._admin = Admin(config.admin, self.control)
            await self._admin.start()
        self.control.url = self._url()
        say(f"{self._summary()} on {self._url()}, {self._staff()}")
        if self._admin and self._admin.where:
            say(self._admin.where)
        self._tell_notes()
        while True:
            await self._reload_wanted.wait()
            await self._reload()

    def _count(self, config: AnyConfig) -> int:
        return self.workers or config.workers

    def _summary(self) -> str:
        return self.config.policy.algorithm

    def _url(self) -> str:
        return f"{self.config.scheme}://{join_address(self.host, self.port)}"

    def _staff(self) -> str:
        count = self._count(self.config)
        return f"{count} worker{'s' if count > 1 else ''}"

    def _tell_notes(self) -> None:
        for note in notes(self.config, self._count(self.config), names=False):
            say(note)

    def _listen(self, host: str, port: int, count: int, there: list[socket.socket]) -> list[socket.socket]:
        """Return `count` sockets: those of `there`, and new ones. None is closed, as connections may
        be waiting in it. Raises ProxyError."""
        fresh: list[socket.socket] = []
        try:
            while len(there) + len(fresh) < count:
                fresh.append(listen(host, port, self.config.socket_kind))
                port = fresh[-1].getsockname()[1]
        except ProxyError:
            for sock in fresh:
                sock.close()
            raise
        self.host, self.port = host, port
        return [*there, *fresh]

    # -- reload -----------------------------------------------------------------------------

    async def reload(self) -> list[str]:
        """Reload the file, as after a signal. Returns why that did not take effect, a line for each fault."""
        waiter: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._reload_wanted.set()
        return await waiter

    async def _reload(self) -> None:
        """Carry out the reloads that are wanted so far, as one."""
        self.control.reloading = True
        retiring = self.generations[:-1]
        if len(retiring) >= MAX_RETIRING:
            say(f"reload waits: workers of {len(retiring)} earlier reloads still have requests in flight")
            while len(self.generations) > MAX_RETIRING:
                await asyncio.wait(self._retirements, return_when=asyncio.FIRST_COMPLETED)
        self._reload_wanted.clear()  # a signal from now on may mean a newer file
        waiters, self._waiters = self._waiters, []
        faults = await self._replace_workers()
        self.control.reloaded(faults)
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(faults)

    async def _replace_workers(self) -> list[str]:
        """Start new workers, then retire the old ones. An invalid file changes nothing.

        Returns why, a line for each fault."""
        before = self.host, self.port
        old = self.generations[-1]
        sockets = self.sockets
        try:
            config = load_config(self.path)
            self._check_mode(config)
            host, port = config.address
            count = self._count(config)
            if host == self.host and port in (0, self.port):
                sockets = self._listen(host, self.port, count, self.sockets)
            else:
                if port not in (0, self.port):
                    try_listen(host, port, config.socket_kind)
                sockets = self._listen(host, port, count, [])
            generation = Generation(config, sockets, count, say, self.rng, self.control.intents)
            self.generations.append(generation)
            try:
                await generation.start()
            except ProxyError:
                self.generations.remove(generation)
                raise
        except (ConfigError, ProxyError) as error:
            self.host, self.port = before
            for sock in sockets:
                if sock not in self.sockets:
                    stop_listening(sock)
            say("not reloaded, the old configuration stays: " + str(error).replace("\n", "\nnot reloaded: "))
            return [line.removeprefix(f"{self.path}: ") for line in str(error).splitlines()]
        self._retire(old)
        for sock in self.sockets:
            if sock not in sockets:
                stop_listening(sock)
        moved = (host, self.port) != before
        if config.admin != self.config.admin:
            say("admin has changed: the new value takes effect at the next start")
        self.config, self.sockets = config, sockets
        if self._mark:
            self._mark.close()
        self._mark = running_mark(self.path, config.listen)
        self.control.url = self._url()
        where = f" on {self._url()}" if moved else ""
        say(f"reloaded: {self._summary()}{where}, {len(config.backends)} backends, {self._staff()}")
        self._tell_notes()
        return []

    def _check_mode(self, config: AnyConfig) -> None:
        """Raise ConfigError if a reload would need other sockets."""
        if config.mode != self.config.mode:
            raise ConfigError(
                f"mode is {config.mode!r}, and the proxy runs in mode {self.config.mode!r}: restart it"
            )

    def _retire(self, generation: Generation) -> None:
        generation.retire(replaced=True)

        async def ended() -> None:
            await generation.ended()
            self.generations.remove(generation)

        task = asyncio.ensure_future(ended())
        self._retirements.add(task)
        task.add_done_callback(self._retirements.discard)

    # -- end --------------------------------------------------------------------------------

    async def _end(self) -> None:
        if self._admin:
            self._admin.stop()
        for generation in self.generations:
            generation.retire()
        for sock in self.sockets:
            sock.close()
        await asyncio.gather(*(generation.ended() for generation in self.generations))
        if self._retirements:
            await asyncio.wait(self._retirements)
        if self._mark:
            self._mark.close()

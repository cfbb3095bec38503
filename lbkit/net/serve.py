"""`lbkit proxy`: a supervisor and its worker processes.

The supervisor owns the listening sockets, one a worker, on one port (SO_REUSEPORT: the kernel spreads
connections over them), and the workers borrow them. So a reload starts new workers on the same
sockets before the old ones stop, and no connection is refused or lost in between.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lbkit.net.address import split_address
from lbkit.net.config import ConfigError, ProxyConfig
from lbkit.net.loop import new_event_loop
from lbkit.net.proxy import BACKLOG, Proxy, ProxyError, listen_error

READY = b"ready\n"
START_TIMEOUT = 20.0  # seconds a worker may take to start


def say(text: str) -> None:
    print(f"lbkit proxy: {text}", file=sys.stderr, flush=True)


def main(path: str | Path, workers: int | None = None, check: bool = False) -> None:
    """Serve what the file says until SIGTERM or SIGINT; SIGHUP reads it again.

    Raises ConfigError and ProxyError before anything listens."""
    config = ProxyConfig.load(path)
    if check:
        print(f"{path}: fine, {len(config.backends)} backends, {config.policy.algorithm}")
    elif hasattr(socket, "SO_REUSEPORT"):
        Supervisor(path, config, workers).run()
    else:
        run_proxy(config, None)  # Windows: one process, no reload


class Supervisor:
    """Keeps `workers` processes running, and replaces them on reload or when one dies."""

    def __init__(self, path: str | Path, config: ProxyConfig, workers: int | None) -> None:
        self.path = path
        self.workers = workers  # from the command line; None: as the file says
        self.config = config
        self.host, self.port = split_address(config.listen)
        self.sockets: list[socket.socket] = []
        self.processes: dict[int, subprocess.Popen[bytes]] = {}  # by socket
        self.retiring: list[subprocess.Popen[bytes]] = []
        self.wanted: list[str] = []  # signals that have come in

    def run(self) -> None:
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)

        def note(number: int, _: Any) -> None:
            self.wanted.append(signal.Signals(number).name)
            os.write(wake_write, b".")

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, note)
        try:
            self._listen(self._count())
            self._start_all()
            say(f"{self.config.policy.algorithm} on http://{self.host}:{self.port}, {self._count()} workers")
            self._warn()
            while True:
                os.read(wake_read, 1)
                while self.wanted:
                    name = self.wanted.pop(0)
                    if name in ("SIGTERM", "SIGINT"):
                        return
                    if name == "SIGHUP":
                        self._reload()
                self._look_after()
        finally:
            self._stop_all()

    def _warn(self) -> None:
        """Workers know nothing of each other."""
        count, config = self._count(), self.config
        if count > 1 and config.rate_limits and not config.redis:
            say(f"each of {count} workers counts rate limits by itself; with [redis] they count together")
        if count > 1 and config.admission:
            say(f"each of {count} workers has an admission of its own: {count} times as much goes on in all")

    def _count(self) -> int:
        return self.workers or self.config.workers

    def _listen(self, count: int) -> None:
        """As many sockets as workers; those there stay."""
        while len(self.sockets) < count:
            sock = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                if not self.sockets and self.port:
                    # With SO_REUSEPORT we would share the port with another lbkit instead of being refused.
                    with socket.socket(sock.family) as probe:
                        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        probe.bind((self.host, self.port))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                sock.bind((self.host, self.port))
                sock.listen(BACKLOG)
            except OSError as error:
                sock.close()
                raise ProxyError(listen_error(error, self.host, self.port)) from None
            self.port = sock.getsockname()[1]
            self.sockets.append(sock)

    def _start(self, sock: socket.socket) -> subprocess.Popen[bytes]:
        """A worker that serves; ProxyError if it does not get there."""
        process = subprocess.Popen(
            [sys.executable, "-m", "lbkit.net.serve", str(sock.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[sock.fileno()],
        )
        assert process.stdin
        assert process.stdout
        # Its stdin stays open as long as we live: at its end a worker stops, too.
        process.stdin.write(json.dumps(self.config.to_dict()).encode() + b"\n")
        process.stdin.flush()
        watchdog = threading.Timer(START_TIMEOUT, process.kill)
        watchdog.start()
        ready = process.stdout.readline() == READY
        watchdog.cancel()
        if not ready:
            end(process, kill=True)
            raise ProxyError("a worker did not start; what it said is above")
        return process

    def _start_all(self) -> None:
        fresh: dict[int, subprocess.Popen[bytes]] = {}
        try:
            for sock in self.sockets:
                fresh[sock.fileno()] = self._start(sock)
        except ProxyError:
            for process in fresh.values():
                end(process, kill=True)
            raise
        for process in self.processes.values():
            process.terminate()
            self.retiring.append(process)
        self.processes = fresh

    def _reload(self) -> None:
        """New workers, then the old ones retire. A file that is wrong changes nothing."""
        before = self.config
        try:
            self.config = ProxyConfig.load(self.path)
            if split_address(self.config.listen)[1] not in (0, self.port):
                raise ConfigError("listen cannot change while it runs: stop and start")
            count = self._count()
            self._listen(count)
            surplus, self.sockets = self.sockets[count:], self.sockets[:count]
            self._start_all()
            for sock in surplus:
                sock.close()
            say(f"reloaded: {self.config.policy.algorithm}, {len(self.config.backends)} backends")
        except (ConfigError, ProxyError) as error:
            self.config = before
            say(f"not reloaded, going on as before: {error}")

    def _look_after(self) -> None:
        """Somebody may have died: whoever should be there is started again."""
        for process in [p for p in self.retiring if p.poll() is not None]:
            end(process)
            self.retiring.remove(process)
        for sock in self.sockets:
            worker = self.processes[sock.fileno()]
            if worker.poll() is not None:
                end(worker)
                say(f"worker {worker.pid} ended ({worker.returncode}); starting another")
                time.sleep(0.2)  # one that cannot live should not eat a core
                self.processes[sock.fileno()] = self._start(sock)

    def _stop_all(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_IGN if number != signal.SIGCHLD else signal.SIG_DFL)
        running = [*self.processes.values(), *self.retiring]
        for process in running:
            process.terminate()
        for sock in self.sockets:
            sock.close()
        last = time.monotonic() + self.config.grace + 2
        for process in running:
            try:
                process.wait(max(0.0, last - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
            end(process)


def end(process: subprocess.Popen[bytes], kill: bool = False) -> None:
    """Reap it and close its pipes."""
    if kill:
        process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()
    process.wait()


def run_proxy(
    config: ProxyConfig, sock: socket.socket | None, on_ready: Callable[[], object] | None = None
) -> None:
    """Serve in this process until SIGTERM or SIGINT, or until the supervisor is gone."""
    proxy = Proxy(config=config)

    async def serve() -> None:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            proxy.shut(config.grace)

        def ready() -> None:
            if on_ready:
                on_ready()
                threading.Thread(target=until_orphaned, daemon=True).start()
            else:
                say(f"{config.policy.algorithm} on {proxy.url}")

        def until_orphaned() -> None:
            # Not sys.stdin.read(): it holds a lock that an interpreter that shuts down wants.
            while os.read(sys.stdin.fileno(), 4096):
                pass
            loop.call_soon_threadsafe(stop)

        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, stop)
            except NotImplementedError:  # Windows: Ctrl-C raises KeyboardInterrupt instead
                break
        await proxy.serve(sock, ready)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve())


def worker() -> None:
    """One worker process: the socket by number on the command line, the config on stdin."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the supervisor tells us
    sock = socket.socket(fileno=int(sys.argv[1]))
    sock.setblocking(False)
    config = ProxyConfig.from_dict(json.loads(sys.stdin.buffer.readline()))

    def ready() -> None:
        sys.stdout.buffer.write(READY)
        sys.stdout.buffer.flush()

    run_proxy(config, sock, ready)


if __name__ == "__main__":
    worker()

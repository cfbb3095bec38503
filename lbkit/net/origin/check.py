"""Active health checks on real sockets: probes on connections of their own, and their schedule."""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from collections.abc import Callable
from math import inf

from lbkit.core import AlgorithmError, AnyPool, Backend, Pool
from lbkit.core.health.probe import Probe
from lbkit.net.address import join_address
from lbkit.net.origin.http2_check import ask_grpc, ask_http2
from lbkit.net.origin.own_check import OwnCheck
from lbkit.net.origin.reach import HTTP2, PLAIN, Reach, ReachError

MAX_ANSWER = 64 * 1024  # bytes of an answer that are read
MAX_CONCURRENT = 32  # probes in flight, so that a thousand backends do not take a thousand descriptors
DISCOVERY_INTERVAL = 0.25  # seconds between checks for backends that joined or left the pool

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r?\n")


async def send_probe(probe: Probe, backend: Backend, reach: Reach = PLAIN) -> str:
    """Return why a backend does not pass, or empty. It has no timeout of its own.

    `reach`: how requests reach the backend; a check of another port, or of kind "tcp", is plain."""
    address = backend.host, probe.port or backend.port
    if probe.port or probe.kind == "tcp":
        reach = Reach(greeting=reach.greeting)
    if probe.kind == "tls" and reach.tls is None:
        reach = Reach(tls=_tls(), server_name=backend.host, greeting=reach.greeting)
    try:
        reader = asyncio.StreamReader()
        stream = asyncio.StreamReaderProtocol(reader)
        transport, _ = await reach.open(lambda: stream, *address)
        writer = asyncio.StreamWriter(transport, stream, reader, asyncio.get_running_loop())
    except ReachError as error:
        return f"no connection: {error}"
    except ConnectionRefusedError:
        return "connection refused"
    except (OSError, ssl.SSLError) as error:
        return f"no connection: {error.strerror or error}"
    try:
        authority, scheme = join_address(*address), reach.scheme.decode()
        if probe.kind == "http" and reach.protocol == HTTP2:
            return await ask_http2(probe, authority, reader, writer, scheme)
        if probe.kind == "http":
            return await _ask(probe, authority, reader, writer)
        if probe.kind == "grpc":
            return await ask_grpc(probe.service, probe.host or authority, reader, writer, scheme)
        return ""
    except OSError as error:
        return f"connection lost: {error.strerror or error}"
    finally:
        writer.transport.abort()


async def _ask(probe: Probe, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    writer.write(probe.request(address))
    data = b""
    # The body is needed only if the probe looks for a text in it.
    while len(data) < MAX_ANSWER and not (
        b"\r\n\r\n" in data and (not probe.body or not probe.fault(*_parts(data)))
    ):
        more = await reader.read(MAX_ANSWER - len(data))
        if not more:
            break
        data += more
    if not data:
        return "connection closed without an answer"
    if not _STATUS_LINE.match(data):
        return "answer is not HTTP"
    return probe.fault(*_parts(data))


def _parts(data: bytes) -> tuple[int, bytes]:
    """Return the status and the body of a partly received answer."""
    line = _STATUS_LINE.match(data)
    return int(line[1]) if line else 0, data.partition(b"\r\n\r\n")[2]


def _tls() -> ssl.SSLContext:
    """Return a context that accepts any certificate: a check tests reachability, not identity."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Checker:
    """Probes every backend of a pool in a task of its own, and reports the outcomes to the pool's watch."""

    def __init__(
        self,
        pool: AnyPool,
        probe: Probe,
        timeout: float,
        now: Callable[[], float],
        rng: random.Random | None = None,
        on_fault: Callable[[str], object] = lambda what: None,
    ) -> None:
        """`on_fault` is called in the handler of an exception of the user's own code, with what failed."""
        self.pool = pool
        self.probe = probe
        self.timeout = timeout
        self.now = now
        self.rng = rng or random.Random()
        self.on_fault = on_fault
        self.reach: Callable[[Backend], Reach] = lambda backend: PLAIN
        self.sent = 0
        self._own = OwnCheck(probe.call) if probe.call else None
        self._began = inf
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)
        self._tasks: dict[Backend, asyncio.Task[None]] = {}

    @property
    def running(self) -> float:
        """Seconds since the first probe could be sent."""
        return max(0.0, self.now() - self._began)

    async def run(self) -> None:
        """Check all backends, including those that join later, until cancelled."""
        self._began = self.now()
        try:
            while True:
                there = set()
                for pool in self.pool.pools:
                    for backend in pool.backends:
                        there.add(backend)
                        if backend not in self._tasks:
                            self._tasks[backend] = asyncio.ensure_future(self._check(pool, backend))
                for backend in self._tasks.keys() - there:
                    self._tasks.pop(backend).cancel()
                await asyncio.sleep(DISCOVERY_INTERVAL)
        finally:
            for task in self._tasks.values():
                task.cancel()

    async def _ask(self, backend: Backend) -> str:
        if self._own is None:
            return await send_probe(self.probe, backend, self.reach(backend))
        try:
            return await self._own.ask(backend)
        except TimeoutError:
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task and task.cancelling():  # by its timeout, or as the proxy stops
                raise
            return "the check cancelled itself"
        except Exception as error:  # a learner's code may do anything
            self.on_fault("a health check failed")
            return f"{type(error).__name__}: {error}"

    async def _check(self, pool: Pool, backend: Backend) -> None:
        watch = pool.watch
        health = watch and watch.health(backend.name)
        if not (watch and health):
            return
        await asyncio.sleep(health.first_check(self.rng))
        while True:
            async with self._slots:
                start = self.now()
                self.sent += 1
                try:
                    async with asyncio.timeout(self.timeout):
                        fault = await self._ask(backend)
                except TimeoutError:
                    fault = "no answer in time"
            try:
                watch.probed(backend.name, not fault, self.now(), fault)
            except AlgorithmError:  # it could not take note of the change; the checks go on
                self.on_fault("an algorithm failed after a health check")
            await asyncio.sleep(max(0.0, start + health.next_check(self.rng) - self.now()))

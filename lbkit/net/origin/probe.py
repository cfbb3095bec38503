"""Load probes, for algorithms that need backends' load reports before a pick."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from lbkit.core import AnyPool, Backend
from lbkit.core.attempts import Failure
from lbkit.core.meter import LoadReport
from lbkit.net.messages import RequestHead, ResponseHead
from lbkit.net.origin.connections import Connections
from lbkit.net.origin.load_report import read_report
from lbkit.net.peer import Peer

if TYPE_CHECKING:
    from lbkit.net.origin.connections import AnyConnection

PROBE_TIMEOUT = 1.0  # seconds; a later report would be stale


class Probe:
    """One request for a load report. Like an exchange, it is the receiver of a connection."""

    def __init__(
        self,
        backend: Backend,
        path: str,
        connections: Connections,
        on_end: Callable[[Backend, LoadReport | None], object],
    ) -> None:
        self.backend = backend
        self.connections = connections
        self._on_end: Callable[[Backend, LoadReport | None], object] | None = on_end
        self.connection: AnyConnection | None = None
        host = f"[{backend.host}]" if ":" in backend.host else backend.host
        head = f"GET {path} HTTP/1.1\r\nHost: {host}:{backend.port}\r\n".encode("latin-1")
        self.request = RequestHead(b"GET", path.encode("latin-1"), head, Peer(""), "")
        self.report: LoadReport | None = None
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._run())
        self._deadline = loop.call_later(PROBE_TIMEOUT, self.end)

    async def _run(self) -> None:
        """Send the probe. It raises nothing: finding backends that are down is the health checks' task."""
        connection = self.connections.idle_one(self.backend)
        if connection is None:
            try:
                connection = await self.connections.connect(self.backend)
            except OSError:
                self.end()
                return
        if connection.transport.is_closing():
            self.end()
            return
        self.connection = connection
        connection.send(self, self.request, b"", True)

    def end(self) -> None:
        """Finish, with or without a report. May be called more than once."""
        on_end, self._on_end = self._on_end, None
        if on_end is None:
            return
        self._deadline.cancel()
        self._task.cancel()
        connection, self.connection = self.connection, None
        if connection:
            connection.close()
        on_end(self.backend, self.report)

    # -- as a receiver -----------------------------------------------------------------------

    def answer(self, head: ResponseHead, data: bytes, end: bool) -> None:
        self.report = read_report(head.internal)
        self.data(data, end)

    def data(self, data: bytes, end: bool) -> None:
        if end:
            self.connection = None  # it is idle again
            self.end()

    def lost(self, failure: Failure, kept: bool) -> None:
        self.connection = None
        self.end()

    def interim(self, head: ResponseHead) -> None:
        """Ignored: it has no load report."""

    def switched(self, head: ResponseHead, transport: asyncio.Transport, data: bytes) -> None:
        transport.abort()
        self.lost(Failure.MALFORMED, False)

    def origin_ready(self, ready: bool) -> None:
        """Ignored: a probe has no body."""


class Reports:
    """Passes backends' load reports, from answers and probes, to the algorithm."""

    def __init__(
        self,
        pool: AnyPool,
        path: str,
        connections: Connections,
        now: Callable[[], float],
        fault: Callable[[str], object],
    ) -> None:
        """`fault` is called in the exception's handler, with a description of what failed."""
        self.pool = pool
        self.path = path
        self.connections = connections
        self.now = now
        self.fault = fault
        self.probing: dict[Backend, Probe] = {}  # one at a time for each backend

    def picked(self, backend: Backend, now: float) -> None:
        """Send the probes that the algorithm asks for after a pick."""
        try:
            targets = self.pool.probe_targets(backend, now)
        except Exception:
            self.fault("probing failed")
            return
        for target in targets:
            if target not in self.probing:
                self.probing[target] = Probe(target, self.path, self.connections, self._probed)

    def _probed(self, backend: Backend, report: LoadReport | None) -> None:
        self.probing.pop(backend, None)
        if report:
            self._pass_on(backend, report, self.now(), probed=True)

    def answered(self, backend: Backend, head: ResponseHead, now: float) -> None:
        """Take the load report in an answer, if it has one."""
        if report := read_report(head.internal):
            self._pass_on(backend, report, now)

    def _pass_on(self, backend: Backend, report: LoadReport, now: float, probed: bool = False) -> None:
        try:
            self.pool.report(backend, report, now, probed)
        except Exception:
            self.fault("reporting a load failed")

    def stop(self) -> None:
        for probe in list(self.probing.values()):
            probe.end()

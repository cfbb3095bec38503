"""Asking a backend for its load, for algorithms that want to know before they pick."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lbkit.core import Backend
from lbkit.net.http import Request
from lbkit.net.load_report import read_report
from lbkit.net.peer import Peer

if TYPE_CHECKING:
    from lbkit.net.proxy import Proxy
    from lbkit.net.upstream import Upstream

PATIENCE = 1.0  # seconds; what is older is no news


class Probe:
    """One question and its answer: to its connection it is an exchange whose client wants to hear nothing."""

    tunnel = ended = False
    complete = True
    attempts = 1
    fields = b""

    def __init__(self, proxy: Proxy, backend: Backend) -> None:
        self.proxy = proxy
        self.backend = backend
        self.client = self.sink = self
        self.over = False
        self.started = False
        self.keep_alive = True
        self.status = 0
        self.upstream: Upstream | None = None
        self.asking: asyncio.Task[None]
        self.deadline: asyncio.TimerHandle | None = None
        host = f"[{backend.host}]" if ":" in backend.host else backend.host
        head = f"GET {proxy.probe} HTTP/1.1\r\nHost: {host}:{backend.port}\r\n\r\n".encode("latin-1")
        here = Peer("", ())
        self.request = Request(b"GET", proxy.probe.encode("latin-1"), head, here, "", True, 0, False)

    def start(self) -> None:
        self.asking = asyncio.get_running_loop().create_task(self._ask())

    async def _ask(self) -> None:
        """Raises nothing: that somebody does not answer is for health checks to find out."""
        connections = self.proxy.connections
        upstream = connections.take(self.backend, self.proxy.now())
        if upstream is None:
            try:
                upstream = await connections.connect(self.backend)
            except OSError:
                self.end()
                return
        if self.over:
            upstream.close()
            return
        self.upstream = upstream
        upstream.send(self, self.request.data)
        self.deadline = asyncio.get_running_loop().call_later(PATIENCE, self.fail)

    def end(self) -> None:
        self.over = True
        self.upstream = None
        if self.deadline:
            self.deadline.cancel()
        self.proxy.asked.pop(self.backend, None)

    # -- what a connection expects of an exchange ---------------------------------------------

    def reported(self, head: bytes, now: float) -> None:
        if report := read_report(head):
            self.proxy.tell(self.backend, report, now, probed=True)

    def shape(self) -> None:
        """Nobody reads the answer: it may come as it likes."""

    def why(self) -> bytes:
        return b""

    def finish(self, now: float) -> None:
        self.end()

    def fail(self, status: int = 0) -> None:
        if not self.over:
            upstream = self.upstream
            self.asking.cancel()
            self.end()
            if upstream:
                upstream.close()

    def lost(self, upstream: Upstream) -> None:
        self.fail()

    def open_tunnel(self) -> None:
        self.fail()

    # -- and of its client ----------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Nobody wants to read it."""

    def touch(self) -> None:
        """Its patience is counted from the start."""

    def relay(self, data: bytes) -> None:
        self.fail()

    def relay_eof(self) -> None:
        self.fail()

    def backend_full(self, full: bool) -> None:
        """A question is a hundred bytes: there is nothing to hold back."""

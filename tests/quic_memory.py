"""An HTTP/3 endpoint without a socket and a backend, for clients of `http3_client` in the same thread."""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from http3_client import tls_rules

from lbkit.net.http1.listener import Listener
from lbkit.net.http3.certificates import Chains
from lbkit.net.http3.endpoint import Endpoint, configuration
from lbkit.net.http3.rules import Http3
from lbkit.net.http3.server import Http3Connection
from lbkit.net.messages import ResponseHead
from lbkit.net.settings import Limits, Timeouts
from lbkit.net.tls.live import LiveContext
from lbkit.net.tls.rules import TlsRules

CLIENT = "192.0.2.1", 50_000


class Played:
    """An exchange that answers as its path says."""

    deadline = float("inf")
    all: list[Played]

    def __init__(self, request: Any, client: Any, now: float) -> None:
        self.request, self.client = request, client
        self.body_seen = bytearray()
        self.complete = self.gone = self.begun = False
        self.all.append(self)

    def begin(self, now: float) -> None:
        self.begun = True
        if self.request.target == b"/wait":
            self.client.read_body(False)
        else:
            self.client.respond(ResponseHead(200, b"HTTP/1.1 200 OK\r\n", 2), b"ok", True)

    def body(self, data: bytes, end: bool) -> None:
        self.body_seen += data
        self.complete = end

    def refuse(self, status: int, why: str) -> None: ...
    def delivered(self) -> None: ...
    def client_ready(self, ready: bool) -> None: ...
    def cut(self, backend: object) -> None: ...
    def expired(self, now: float) -> None: ...
    def client_gone(self) -> None:
        self.gone = True


class Memory:
    """Looks like a proxy to a client, like a transport to the endpoint, and like a socket to both."""

    host, http3_port = "127.0.0.1", 443

    def __init__(
        self, rules: Http3 | None = None, tls: TlsRules | None = None, limits: Limits | None = None
    ) -> None:
        rules = rules or Http3()
        self.exchanges: list[Played] = []
        handler = type("Handler", (Played,), {"all": self.exchanges})
        self.loop = asyncio.new_event_loop()
        self.faults: list[str] = []
        self.listener = Listener(handler, timeouts=Timeouts(), limits=limits or Limits())
        self.listener.now = self.loop.time
        self.listener.on_fault = lambda what: self.faults.append(traceback.format_exc())
        self.live = LiveContext(tls or tls_rules())
        chains = Chains(self.live)
        made = configuration(rules, chains.first, 60.0)
        self.endpoint = Endpoint(self.listener, rules, made, chains.choose, 10.0)
        self.endpoint.connection_made(self)
        self.client = CLIENT
        self.sent: deque[tuple[bytes, Any]] = deque()  # by the endpoint, and to whom

    @property
    def connection(self) -> Http3Connection:
        (one,) = self.endpoint.live()
        return one

    # -- as a transport ---------------------------------------------------------------------------

    def get_extra_info(self, name: str) -> Any:
        return (self.host, self.http3_port)

    def is_closing(self) -> bool:
        return False

    def sendto(self, data: bytes, address: Any) -> None:
        self.sent.append((data, address))

    # -- as a client's socket -----------------------------------------------------------------------

    def udp(self) -> MemorySocket:
        return MemorySocket(self)

    def receive(self, data: bytes, client: Any = None) -> None:
        """Have the endpoint receive a datagram."""
        self.run(lambda: self.endpoint.datagram_received(data, client or self.client))

    def turn(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0.001))

    def run(self, what: Callable[[], object]) -> None:
        async def run() -> None:
            what()

        self.loop.run_until_complete(run())

    def end_all(self) -> None:
        """End all connections without a word."""

        def end() -> None:
            for connection in self.endpoint.live():
                connection.abort()
                connection.silence()
                self.endpoint.over(connection)
            self.sent.clear()

        self.run(end)

    def close(self) -> None:
        self.end_all()
        self.loop.close()

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
        assert not self.faults, self.faults[0]


class MemorySocket:
    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def sendto(self, data: bytes, address: object) -> None:
        self.memory.receive(data)

    def recvfrom(self, size: int) -> tuple[bytes, Any]:
        if not self.memory.sent:
            self.memory.turn()
        if not self.memory.sent:
            raise TimeoutError
        data, _ = self.memory.sent.popleft()
        return data, (self.memory.host, self.memory.http3_port)

    def settimeout(self, seconds: float) -> None: ...
    def close(self) -> None: ...

"""A backend with behaviour that can be set: service times, concurrency, failures; as an ASGI application."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from lbkit.core.meter import LoadMeter
from lbkit.draws import stream
from lbkit.experiment import Server
from lbkit.geography import Geography
from lbkit.health_page import DETAIL, FAILED, PATH, page
from lbkit.live.backend_settings import check_settings, settings_of
from lbkit.live.calling import Calls
from lbkit.live.discipline import DISCIPLINES
from lbkit.live.session_store import WANTED, session_fields, session_store
from lbkit.live.texts import text_of, wanted_size
from lbkit.net.origin.load_report import FIELD, write_report
from lbkit.net.peer import plain_address
from lbkit.workload import chosen, needs

Scope = Mapping[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

REMEMBERED = 10_000  # clients with a count of their requests
WASTED = 100_000  # requests whose clients had left: the latest that are remembered
WATCHED = b"x-lbkit-watched"  # a header field of requests that client or proxy may abandon


class Backend:
    """An ASGI application that works like the simulator's server, on a real clock."""

    def __init__(
        self, server: Server, seed: int = 1, store: str = "", geography: Geography | None = None
    ) -> None:
        """`store`: the address of a Redis that keeps the sessions of its users; "": its own memory.

        `geography`: how far away its zone is; None: not at all."""
        self.calls: Calls | None = None  # the service that its work needs
        self.server = server
        self.geography = geography
        self.line = DISCIPLINES[server.discipline](server.workers)
        self.meter = LoadMeter(server.workers)
        self.draw = stream(seed, f"backend/{server.name}").random
        self.callers: Counter[str] = Counter()
        self.served = 0
        self.jitter = stream(seed, f"jitter/{server.name}")
        self.sessions = session_store(store)
        self.settings = settings_of(server)
        # Start, seconds and whether it was completed: of work for clients that had left.
        self.wasted: deque[tuple[float, float, bool]] = deque(maxlen=WASTED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        if scope["type"] == "websocket":
            await self.converse(receive, send)
            return
        body = await _read(receive)
        forwarded = any(name in (b"via", b"x-forwarded-for") for name, _ in scope["headers"])
        # Clients of a proxy get nothing but work: the other pages are for its probes and for the operator.
        handler = Backend.work if forwarded else self.pages.get(scope["path"], Backend.work)
        if handler is not Backend.work:
            status, headers, answer = await handler(self, scope, body)
        elif (answered := await self._work_for(scope, body, receive)) is not None:
            status, headers, answer = answered
        else:
            return  # there is no client to answer
        length = (b"content-length", b"%d" % len(answer))
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer})

    # -- the work -------------------------------------------------------------------------

    async def _work_for(self, scope: Scope, body: bytes, receive: Receive) -> Answer | None:
        """Return the answer; None if the client left, or gets none."""
        headers = dict(scope["headers"])
        losing = self.settings["lose"]
        if losing and _quantile(headers.get(b"x-lbkit-luck"), self.draw) >= 1 - losing:
            await receive()  # until the client leaves
            return None
        if WATCHED not in headers:
            return await self.work(scope, body)
        leaves = asyncio.ensure_future(receive())
        work = asyncio.ensure_future(self.work(scope, body))
        try:
            await asyncio.wait((work, leaves), return_when=asyncio.FIRST_COMPLETED)
            if self.server.cancels and not work.done():
                work.cancel()
                return None
            answer = await work
            if not leaves.done():
                return answer
            self._waste(answer)
            return None
        finally:
            leaves.cancel()

    def _waste(self, answer: Answer) -> None:
        """Remember work that was completed for a client that had left."""
        fields = dict(answer[1])
        if b"x-lbkit-start" in fields:
            start, spent = fields[b"x-lbkit-start"], fields[b"x-lbkit-service"]
            self.wasted.append((float(start), float(spent), True))

    async def work(self, scope: Scope, body: bytes) -> Answer:
        headers = dict(scope["headers"])
        server, settings = self.server, self.settings
        name = (b"x-backend", server.name.encode())
        self._remember(headers)
        began = time.monotonic()
        self.meter.started(began)
        way = self._way(headers)
        await self._travel(way)
        extra: list[tuple[bytes, bytes]] = []
        u = _quantile(headers.get(b"x-lbkit-demand"), self.draw)
        if (
            settings["error_rate"]
            and _quantile(headers.get(b"x-lbkit-luck"), self.draw) < settings["error_rate"]
        ) or self._breaks(scope["path"], headers):
            status = 500
        elif server.queue is not None and self.line.present >= server.workers + server.queue:
            status = 503
        else:
            start = 0.0

            def seconds() -> float:
                nonlocal start
                start = time.monotonic()
                return float(server.service.quantile(u) / settings["speed"])

            called = 200

            async def call() -> None:
                nonlocal called
                if self.calls:
                    called = await self.calls.answered(scope["path"], headers)

            try:
                start, spent = await self.line.serve(seconds, settings["burn"], self.calls and call)
            except asyncio.CancelledError:
                now = time.monotonic()
                self.meter.ended(now, now - began, False)
                if start:
                    self.wasted.append((start, now - start, False))
                raise
            status = 200 if called < 500 else 500
            extra = [(b"x-lbkit-start", b"%.6f" % start), (b"x-lbkit-service", b"%.6f" % spent)]
            if WANTED in headers:
                try:
                    extra += await session_fields(self.sessions, headers[WANTED], headers.get(b"cookie", b""))
                except OSError:  # the store does not answer, and without the session there is no answer
                    status, extra = 500, []
        await self._travel(way)
        self.served += status == 200
        now = time.monotonic()
        self.meter.ended(now, now - began, status == 200)
        load = (FIELD, write_report(self.meter.report(now)))
        if wanted := wanted_size(headers.get(b"x-lbkit-size", b"")):
            return status, [name, load, TEXT, *extra], text_of(wanted)
        return status, [name, load, *extra], b"x" * settings["size"]

    async def converse(self, receive: Receive, send: Send) -> None:
        """Answer each message of a WebSocket with the server's name and the number of messages so far."""
        messages = 0
        while (event := await receive())["type"] != "websocket.disconnect":
            if event["type"] == "websocket.connect":
                await send({"type": "websocket.accept"})
            else:
                messages += 1
                await send({"type": "websocket.send", "text": f"{self.server.name} {messages}"})

    def _way(self, headers: Mapping[bytes, bytes]) -> float:
        """Return the seconds that a request travels, one way: from its client, or from the balancer."""
        places, zone = self.geography, self.server.zone
        if places is None:
            return 0.0
        return places.between(zone) if places.balancer else places.to_server(_client(headers), zone)

    async def _travel(self, way: float = 0.0) -> None:
        """Wait for as long as the network takes in one direction."""
        server = self.server
        jitter = self.jitter.expovariate(1 / server.delay_jitter) if server.delay_jitter else 0.0
        if delay := server.delay + self.settings["delay"] + jitter + way:
            await asyncio.sleep(delay)

    def _breaks(self, path: str, headers: Mapping[bytes, bytes]) -> bool:
        """Return whether a request gets an error, for its client or for a dependency that has failed."""
        settings = self.settings
        if settings["fail"] and chosen(_client(headers), settings["fail"]):
            return True
        shares = self.server.dependencies
        return any(
            state == FAILED and needs(path, name, shares.get(name, 0.0))
            for name, state in settings["dependencies"].items()
        )

    def _remember(self, headers: Mapping[bytes, bytes]) -> None:
        client = _client(headers)
        if client in self.callers or len(self.callers) < REMEMBERED:
            self.callers[client] += 1

    # -- pages of its own --------------------------------------------------------------------

    async def health(self, scope: Scope, body: bytes) -> Answer:
        """Return its health, over the network; on /health/detail with that of what it depends on."""
        await self._travel()
        status, answer = page(scope["path"], self.settings["healthy"], self.settings["dependencies"])
        await self._travel()
        return status, [JSON], answer

    async def show_wasted(self, scope: Scope, body: bytes) -> Answer:
        """Return the work for clients that had left: start on this machine's clock, seconds, completed."""
        return _json(200, list(self.wasted))

    async def control(self, scope: Scope, body: bytes) -> Answer:
        """GET: return the settings; POST: change them, by JSON. A 400 names the wrong field."""
        if scope["method"] == "POST":
            try:
                changes = json.loads(body)
                check_settings(changes)
            except ValueError as error:
                return _json(400, {"error": str(error)})
            self.settings.update(changes)
        busy = min(self.line.present, self.server.workers)
        state = {"busy": busy, "waiting": self.line.present - busy, "served": self.served}
        return _json(200, {**self.settings, **state, "callers": dict(self.callers.most_common(20))})

    async def load(self, scope: Scope, body: bytes) -> Answer:
        """Return the load, also in a header field as on every answer, without queueing."""
        report = self.meter.report(time.monotonic())
        status, headers, answer = _json(200, report._asdict())
        return status, [*headers, (FIELD, write_report(report))], answer

    pages: ClassVar = {
        "/load": load,
        PATH: health,
        DETAIL: health,
        "/control": control,
        "/wasted": show_wasted,
    }


Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


def _quantile(text: bytes | None, draw: Callable[[], float]) -> float:
    """Return the quantile that the request carries, or a random one."""
    try:
        u = float(text or b"")
    except ValueError:
        return draw()
    return u if 0 <= u < 1 else draw()


def _client(headers: Mapping[bytes, bytes]) -> str:
    """Return the address of the client that a proxy forwards for, without the port."""
    named = headers.get(b"x-forwarded-for", b"").split(b",")[0].decode("latin-1").strip()
    return plain_address(named) or named


JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain; charset=utf-8")


def _json(status: int, data: Any) -> Answer:
    return status, [JSON], json.dumps(data).encode()


async def _read(receive: Receive) -> bytes:
    """Return the body; what follows the first 64 KiB is read and dropped."""
    body = b""
    while True:
        message = await receive()
        if len(body) < 65536:
            body += message.get("body", b"")
        if not message.get("more_body"):
            return body

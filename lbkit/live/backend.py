"""A backend process with behaviour that can be set: service times, concurrency, failures.

Run by a fleet as `python -m lbkit.live.backend '{"server": {...}}'` (see `main`): prints one JSON line with
its port when it serves, and ends when its standard input does, so it never outlives its parent.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from lbkit.core.meter import LoadMeter
from lbkit.core.text import unknown
from lbkit.experiment import Server, server_from_dict
from lbkit.live.discipline import DISCIPLINES
from lbkit.net.origin.load_report import FIELD, write_report
from lbkit.net.peer import plain_address
from lbkit.workload import stream

Scope = Mapping[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

REMEMBERED = 10_000  # clients with a count of their requests


class Backend:
    """An ASGI application that works like the simulator's server, on a real clock."""

    def __init__(self, server: Server, seed: int = 1) -> None:
        self.server = server
        self.line = DISCIPLINES[server.discipline](server.workers)
        self.meter = LoadMeter(server.workers)
        self.draw = stream(seed, f"backend/{server.name}").random
        self.callers: Counter[str] = Counter()
        self.served = 0
        self.jitter = stream(seed, f"jitter/{server.name}")
        # What /control can change, and its limits.
        self.settings: dict[str, Any] = {
            "speed": server.speed,
            "error_rate": server.error_rate,
            "healthy": True,
            "size": 128,  # bytes of an answer's body
            "burn": False,  # compute instead of sleeping
            "dependencies": {},  # name -> "ok", "degraded", "down"
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        body = await _read(receive)
        forwarded = any(name in (b"via", b"x-forwarded-for") for name, _ in scope["headers"])
        # Clients of a proxy get nothing but work: the other pages are for its probes and for the operator.
        handler = Backend.work if forwarded else self.pages.get(scope["path"], Backend.work)
        status, headers, answer = await handler(self, scope, body)
        length = (b"content-length", b"%d" % len(answer))
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer})

    # -- the work -------------------------------------------------------------------------

    async def work(self, scope: Scope, body: bytes) -> Answer:
        headers = dict(scope["headers"])
        server, settings = self.server, self.settings
        name = (b"x-backend", server.name.encode())
        self._remember(headers)
        began = time.monotonic()
        self.meter.started(began)
        await self._travel()
        extra: list[tuple[bytes, bytes]] = []
        u = _quantile(headers.get(b"x-lbkit-demand"), self.draw)
        if (
            settings["error_rate"]
            and _quantile(headers.get(b"x-lbkit-luck"), self.draw) < settings["error_rate"]
        ):
            status = 500
        elif server.queue is not None and self.line.present >= server.workers + server.queue:
            status = 503
        else:
            start, spent = await self.line.serve(
                lambda: server.service.quantile(u) / settings["speed"], settings["burn"]
            )
            status = 200
            extra = [(b"x-lbkit-start", b"%.6f" % start), (b"x-lbkit-service", b"%.6f" % spent)]
        await self._travel()
        self.served += status == 200
        now = time.monotonic()
        self.meter.ended(now, now - began, status == 200)
        load = (FIELD, write_report(self.meter.report(now)))
        return status, [name, load, *extra], b"x" * settings["size"]

    async def _travel(self) -> None:
        """Be on the network for one way."""
        server = self.server
        jitter = self.jitter.expovariate(1 / server.delay_jitter) if server.delay_jitter else 0.0
        if server.delay or jitter:
            await asyncio.sleep(server.delay + jitter)

    def _remember(self, headers: Mapping[bytes, bytes]) -> None:
        named = headers.get(b"x-forwarded-for", b"").split(b",")[0].decode("latin-1").strip()
        client = plain_address(named) or named
        if client in self.callers or len(self.callers) < REMEMBERED:
            self.callers[client] += 1

    # -- pages of its own --------------------------------------------------------------------

    async def health(self, scope: Scope, body: bytes) -> Answer:
        return _json(200 if self.settings["healthy"] else 503, {"healthy": self.settings["healthy"]})

    async def detail(self, scope: Scope, body: bytes) -> Answer:
        dependencies = self.settings["dependencies"]
        good = self.settings["healthy"] and all(state == "ok" for state in dependencies.values())
        return _json(200 if good else 503, {"status": "healthy" if good else "unhealthy", **dependencies})

    async def control(self, scope: Scope, body: bytes) -> Answer:
        """GET: how it is set; POST: JSON with what to change. 400 names the field."""
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
        """Its load in a header field, as every answer has it, without waiting in line."""
        report = self.meter.report(time.monotonic())
        status, headers, answer = _json(200, report._asdict())
        return status, [*headers, (FIELD, write_report(report))], answer

    pages: ClassVar = {"/load": load, "/health": health, "/health/detail": detail, "/control": control}


Answer = tuple[int, list[tuple[bytes, bytes]], bytes]

# Setting -> (does a value fit?, what fits).
SETTINGS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "speed": (lambda v: _number(v) and v > 0, "a number above 0"),
    "error_rate": (lambda v: _number(v) and 0 <= v <= 1, "a number from 0 to 1"),
    "healthy": (lambda v: isinstance(v, bool), "true or false"),
    "burn": (lambda v: isinstance(v, bool), "true or false"),
    "size": (lambda v: type(v) is int and 0 <= v <= 10_000_000, "bytes, from 0 to 10000000"),
    "dependencies": (
        lambda v: isinstance(v, dict) and all(s in ("ok", "degraded", "down") for s in v.values()),
        "a table of names and ok, degraded or down",
    ),
}


def check_settings(changes: Any) -> None:
    """Raises ValueError that names the setting."""
    if not isinstance(changes, dict):
        raise ValueError(f"settings must be a table of {', '.join(SETTINGS)}")
    for name, value in changes.items():
        if name not in SETTINGS:
            raise ValueError(unknown(name, SETTINGS, "setting"))
        fits, said = SETTINGS[name]
        if not fits(value):
            raise ValueError(f"{name} is {value!r}: use {said}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _quantile(text: bytes | None, draw: Callable[[], float]) -> float:
    """What the request says of itself, or a draw of our own."""
    try:
        u = float(text or b"")
    except ValueError:
        return draw()
    return u if 0 <= u < 1 else draw()


def _json(status: int, data: Any) -> Answer:
    return status, [(b"content-type", b"application/json")], json.dumps(data).encode()


async def _read(receive: Receive) -> bytes:
    """The body; more than 64 KiB of it is read, and forgotten."""
    body = b""
    while True:
        message = await receive()
        if len(body) < 65536:
            body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def healthy(port: int) -> bool:
    """Whether the backend at this port of 127.0.0.1 says so; for containers' health checks."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
            return True
    except OSError:
        return False


def main() -> None:
    """`{"server": {...}, "host": "127.0.0.1", "port": 0, "seed": 1, "control": {}, "stay": false, "at": 0}`.

    All optional. `control`: settings as /control takes them. `at`: refuse connections until then, on the
    clock of time.monotonic. `stay`: go on when standard input ends, in a container without a parent."""
    import uvicorn

    if sys.argv[1] == "--health":
        sys.exit(0 if healthy(int(sys.argv[2])) else 1)
    settings = json.loads(sys.argv[1])
    server = server_from_dict({"name": socket.gethostname()} | settings.get("server", {}))
    changes = settings.get("control", {})
    check_settings(changes)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    host, port = settings.get("host", "127.0.0.1"), settings.get("port", 0)
    try:
        sock.bind((host, port))
    except OSError as error:
        sys.exit(f"port {port}: {error.strerror}")
    app = Backend(server, settings.get("seed", 1))
    app.settings.update(changes)
    config = uvicorn.Config(app, access_log=False, log_level="warning", lifespan="off", timeout_keep_alive=75)

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await asyncio.sleep(settings.get("at", 0) - time.monotonic())
            await super().startup(sockets)
            print(json.dumps({"port": sock.getsockname()[1]}), flush=True)

    def until_orphaned() -> None:
        # Not sys.stdin.read(): it holds a lock that an interpreter that shuts down wants.
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os._exit(0)

    if not settings.get("stay"):
        threading.Thread(target=until_orphaned, daemon=True).start()
    Announcing(config).run(sockets=[sock])


if __name__ == "__main__":
    main()

"""The process of one backend.

Run by a fleet as `python -m lbkit.live.backend '{"server": {...}}'` (see `main`): prints one JSON line with
its port when it serves, and ends when its standard input does, so it never outlives its parent.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
from math import inf
from types import FrameType
from typing import Any

from lbkit.experiment import geography_from_dict, server_from_dict
from lbkit.live.backend_app import Backend
from lbkit.live.backend_settings import check_settings
from lbkit.live.calling import Calls
from lbkit.live.handed import handed


def main() -> None:
    """Serve as the first argument says, in JSON or as the path of a file; all its fields are optional.

    `server`: a Server. `host`, `port`: where to listen; 0 is any free port. `seed`: of its random choices.
    `control`: settings as /control takes them. `stay`: go on when standard input ends, in a container without
    a parent. `at`: refuse connections until then, on the clock of time.monotonic. `store`: the address of a
    Redis for sessions, instead of its own memory. `http2`: speak HTTP/2, too. `geography`: the
    places of all, from which follows how long requests travel. `calls`: the service that it calls, as
    `Calls`.
    `notice`: at SIGTERM, /health first fails for these seconds, in which it serves as before, so that checks
    take it out before it refuses a connection. Then it finishes what it has, and ends."""
    settings = handed(sys.argv[1])
    server = server_from_dict({"name": socket.gethostname()} | settings.get("server", {}))
    changes = settings.get("control", {})
    check_settings(changes)
    places, calls = settings.get("geography"), settings.get("calls")
    geography = geography_from_dict(places) if places else None
    app = Backend(server, settings.get("seed", 1), settings.get("store", ""), geography)
    app.calls = Calls(*calls) if calls else None
    app.settings.update(changes)
    sock = bound(settings.get("host", "127.0.0.1"), settings.get("port", 0))
    if not settings.get("stay"):
        threading.Thread(target=end_with_parent, daemon=True).start()
    server_of(app, settings.get("at", 0), settings.get("notice", 0), settings.get("http2", False)).run(
        sockets=[sock]
    )


def bound(host: str, port: int) -> socket.socket:
    """Return a socket with this address; ends the process if it cannot be had."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sys.exit(f"port {port}: {error.strerror}")
    return sock


def server_of(app: Backend, at: float, notice: float, http2: bool = False) -> Any:
    """Return the uvicorn server of a backend, which prints its port once it serves. See `main`."""
    import uvicorn

    http: Any = "auto"
    if http2:
        from lbkit.live.http2_server import EitherProtocol  # needs a package that others do not

        http = EitherProtocol

    class Announcing(uvicorn.Server):
        leaves = inf  # when it stops, on the clock of time.monotonic

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await asyncio.sleep(at - time.monotonic())
            await super().startup(sockets)
            assert sockets
            print(json.dumps({"port": sockets[0].getsockname()[1]}), flush=True)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            if sig == signal.SIGTERM and notice and self.leaves == inf:
                app.settings["healthy"] = False
                self.leaves = time.monotonic() + notice
            else:  # the second time
                super().handle_exit(sig, frame)

        async def on_tick(self, counter: int) -> bool:
            return await super().on_tick(counter) or time.monotonic() >= self.leaves

    return Announcing(
        uvicorn.Config(
            app, http=http, access_log=False, log_level="warning", lifespan="off", timeout_keep_alive=75
        )
    )


def end_with_parent() -> None:
    """End the process when its standard input does."""
    # Not sys.stdin.read(): it holds a lock that an interpreter that shuts down wants.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()

"""The admin interface of a running `lbkit proxy`: a Unix socket that only its owner can use.

A request is a line of JSON, and so is the answer: the states of the backends. A request with `backend` and
`intent` (ready, drain or out) changes that backend's intent first. The interface is not reachable over the
network.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from lbkit.core import Pool

TIMEOUT = 10.0  # seconds in which an answer must come
Order = dict[str, str]
States = dict[str, dict[str, Any]]  # backend -> state, in_flight, weight, healthy


class AdminError(ValueError):
    """Raised for an order that cannot be carried out; the message has the reason."""


class Admin:
    """Listens for orders and answers each with what `carry_out` returns."""

    def __init__(self, path: str, carry_out: Callable[[Order], Awaitable[States]]) -> None:
        self.path = path
        self.carry_out = carry_out
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Start to listen. The socket that a killed proxy left behind is removed. Raises OSError."""
        path = Path(self.path)
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            with socket.socket(socket.AF_UNIX) as sock:
                refused = sock.connect_ex(self.path)
            if refused == 0:
                raise OSError(f"admin {self.path}: another proxy listens there")
            if refused != errno.ECONNREFUSED:  # a program may listen: it is not ours to remove
                raise OSError(f"admin {self.path}: {os.strerror(refused)}")
            path.unlink()
        before = os.umask(0o177)  # so that at no moment others can use the socket
        try:
            self._server = await asyncio.start_unix_server(self._serve, self.path)
        except OSError as error:
            raise OSError(f"admin {self.path}: {error.strerror or error}") from None
        finally:
            os.umask(before)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await self._answer(await reader.readline())
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError):  # the client has gone, or its line is too long
            pass
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Any:
        try:
            order = json.loads(line)
            if not isinstance(order, dict) or not all(isinstance(v, str) for v in order.values()):
                raise AdminError("an order is a table of strings")
            return {"backends": await self.carry_out(order)}
        except (AdminError, ValueError) as error:
            return {"error": str(error)}

    def stop(self) -> None:
        server, self._server = self._server, None
        if server:
            server.close()
            with suppress(OSError):
                os.unlink(self.path)


def send_order(path: str, order: Order) -> States:
    """Send an order to a running proxy; return the states of its backends. Raises AdminError, OSError."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(2 * TIMEOUT)
        sock.connect(path)
        with sock.makefile("rwb") as file:
            file.write(json.dumps(order).encode() + b"\n")
            file.flush()
            line = file.readline()
    if not line:
        raise AdminError("the proxy closed the connection without an answer")
    answer = json.loads(line)
    if "error" in answer:
        raise AdminError(answer["error"])
    states: States = answer["backends"]
    return states


def states_of(pools: Iterable[Pool]) -> States:
    """Return how each backend is, over all these pools."""
    return merge_states(
        [
            {
                b.name: {
                    "state": pool.drains.state(b.name).value,
                    "in_flight": b.in_flight,
                    "healthy": b.healthy,
                }
                for b in pool.backends
            }
            for pool in pools
        ]
    )


def merge_states(answers: list[States]) -> States:
    """Return the backends' states over all workers: a backend is drained when it is drained in each."""
    order = ("draining", "ready", "stopped", "drained")  # the first of these that a worker reports counts
    states: States = {}
    for answer in answers:
        for name, row in answer.items():
            known = states.setdefault(name, dict(row, in_flight=0))
            known["in_flight"] += row["in_flight"]
            known["state"] = min(known["state"], row["state"], key=order.index)
            known["healthy"] = known["healthy"] and row["healthy"]
    return states

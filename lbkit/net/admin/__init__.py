"""The admin interface of a running `lbkit proxy`: an HTTP API and a status page, for this machine only.

There are two ways to one API: a Unix socket that only its owner can use, and a loopback address, where
changes need a token. The supervisor serves it, with the proxy's own HTTP/1 code, so it answers even while
workers restart.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from lbkit.net.address import join_address
from lbkit.net.admin.access import Access, Token
from lbkit.net.admin.api import Api
from lbkit.net.admin.call import BODY, TIMEOUT, Call
from lbkit.net.http1.listener import Listener
from lbkit.net.http1.server import ServerConnection
from lbkit.net.running import ProxyError, listen_error
from lbkit.net.settings import AdminRules, Limits, Timeouts
from lbkit.net.workers.control import Control

LIMITS = Limits(connections=64, head=16 * 1024, body=BODY)
TIMEOUTS = Timeouts(head=5.0, read=10.0, idle=30.0, total=TIMEOUT)
SWEEP = 0.5  # seconds between looks at the deadlines


class Admin:
    """Serves the API of a Control at the places that the rules name."""

    def __init__(self, rules: AdminRules, control: Control) -> None:
        self.rules = rules
        self.where = ""  # where the status page and the token are, once it runs
        self._api = Api(control)
        self._control = control
        self._token: Token | None = None
        self._listeners: list[Listener] = []
        self._servers: list[asyncio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start to listen. Raises ProxyError."""
        try:
            if self.rules.socket:
                await self._listen_on_socket(self.rules.socket)
            if self.rules.address:
                await self._listen_on_loopback(*self.rules.address)
        except BaseException:
            self.stop()
            raise
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._sweep())]
        if self.rules.listen:
            self._tasks.append(loop.create_task(self._control.record()))
        if self.rules.otlp:
            from lbkit.net.admin.otlp import push  # of the extra

            pushing = push(self._control, self.rules.otlp, self.rules.otlp_interval)
            self._tasks.append(loop.create_task(pushing))

    async def _listen_on_socket(self, path: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            remove_dead_socket(path)
            before = os.umask(0o177)  # so that at no moment others can use the socket
            try:
                self._servers.append(await loop.create_unix_server(self._door(Access(None)), path))
            finally:
                os.umask(before)
        except OSError as error:
            raise ProxyError(f"admin.socket is {path!r}: {error.strerror or error}") from None

    async def _listen_on_loopback(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._token = token = Token.found(self.rules.token_file)
        try:
            server = await loop.create_server(self._door(Access(token)), host, port)
        except OSError as error:
            raise ProxyError(f"admin.listen: {listen_error(error, host, port)}") from None
        self._servers.append(server)
        port = server.sockets[0].getsockname()[1]
        self.where = f"status page on http://{join_address(host, port)}/, {token.where}"

    def _door(self, access: Access) -> Callable[[], Any]:
        """Return what makes a connection's protocol, for clients with this access."""
        listener = Listener(partial(Call, self._api, access), timeouts=TIMEOUTS, limits=LIMITS)
        listener.now = monotonic
        self._listeners.append(listener)
        return partial(ServerConnection, listener)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            for listener in self._listeners:
                for client in list(listener.open):
                    client.expire(listener.now())

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for server in self._servers:
            server.close()
        for listener in self._listeners:
            for client in list(listener.open):
                client.abort()
        if self._servers and self.rules.socket:
            with suppress(OSError):
                os.unlink(self.rules.socket)
        if self._token:
            self._token.forget()
        self._servers, self._token = [], None


def remove_dead_socket(path: str) -> None:
    """Remove the socket that a killed proxy left behind. Raises OSError if a program may listen there."""
    there = Path(path)
    if not there.exists() or not stat.S_ISSOCK(there.stat().st_mode):
        return
    with socket.socket(socket.AF_UNIX) as sock:
        refused = sock.connect_ex(path)
    if refused == 0:
        raise OSError("another proxy listens there")
    if refused != errno.ECONNREFUSED:  # a program may listen: it is not ours to remove
        raise OSError(refused, os.strerror(refused))
    there.unlink()

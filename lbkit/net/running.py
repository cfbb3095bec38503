"""A server in a thread of its own: started, stopped, and called from other threads."""

from __future__ import annotations

import asyncio
import errno
import socket
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from typing import Any, Protocol, Self, TypeVar

from lbkit.net.address import join_address
from lbkit.net.faults import Faults
from lbkit.net.loop import LoopThread
from lbkit.started import Started

T = TypeVar("T")

ACCEPTED = 0.01  # seconds after which a connection that was just accepted is among the open ones
PATIENCE = 20.0  # seconds beyond the grace after which a thread that does not end is abandoned
BACKLOG = 1024  # connections that the kernel holds until they are accepted


class ProxyError(Exception):
    """The proxy could not start; the message says why and what to do."""


class Accepting(Protocol):
    """Accepts connections until it is closed."""

    def close(self) -> None: ...


class Running(Started):
    """Runs in a thread of its own, with its own event loop, as a context manager or by `start` and `stop`,
    from a script, a notebook cell or a coroutine."""

    def __init__(self, host: str, port: int) -> None:
        """`port`: 0 is any free one; the attribute has the real one once it runs."""
        self.host, self.port = host, port
        self.faults = Faults()
        self._thread = LoopThread()
        # What else runs while it serves, such as health checks; until cancelled.
        self.background: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self.checker: Any = None  # its health checks, if it has any
        self._empty: asyncio.Event | None = None  # set when the last connection has ended

    @abstractmethod
    async def serve(
        self, sock: socket.socket | None = None, on_ready: Callable[[], object] | None = None
    ) -> None:
        """Serve until `shut` is called, on `sock` (listening) or a socket of our own. Raises ProxyError."""

    @abstractmethod
    def shut(self, grace: float, notice: float = 0.0) -> None:
        """Begin to stop; call it in the server's thread."""

    # -- in a thread of its own ------------------------------------------------------------

    def start(self) -> Self:
        """Listen; returns when connections are accepted. Raises ProxyError, e.g. for a port taken."""
        if self._thread.running:
            raise ProxyError("this proxy runs already")
        try:
            self._thread.start(lambda on_ready: self.serve(on_ready=on_ready))
        except BaseException:
            self.stop(grace=0.0)
            raise
        return self

    def stop(self, grace: float = 5.0) -> None:
        """Stop listening, wait `grace` seconds for what is in flight, cut off the rest. Safe to repeat."""
        if not self._thread.stop(lambda: self.shut(grace), grace + PATIENCE):
            self.faults.report("the proxy's thread does not end: an algorithm waits in it; it is left behind")

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Return the result of `function(*args)`, called in the proxy's thread, which owns the pool."""
        return self._thread.call(function, *args)

    def cpu(self) -> float:
        """Return the seconds of processor time of the proxy's thread; nan where the system does not tell."""
        return self._thread.cpu()

    # -- in the running loop ----------------------------------------------------------------

    async def _listen(
        self, factory: Callable[[], asyncio.Protocol], sock: socket.socket | None, **options: Any
    ) -> Accepting:
        """Accept connections, on `sock` or on host and port; `options`: for TLS. Raises ProxyError."""
        loop = asyncio.get_running_loop()
        try:
            if sock:
                server = await loop.create_server(factory, sock=sock, backlog=BACKLOG, **options)
            else:
                server = await loop.create_server(factory, self.host, self.port, backlog=BACKLOG, **options)
        except OSError as error:
            raise ProxyError(listen_error(error, self.host, self.port)) from None
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _until_empty(self, is_open: Callable[[], object], seconds: float) -> None:
        """Wait until nothing is open, `seconds` at most."""
        assert self._empty is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while is_open() and seconds > 0:
                    self._empty.clear()  # it may have been empty before the last one came
                    await self._empty.wait()


def bound(host: str, port: int, kind: socket.SocketKind, shared: bool = False) -> socket.socket:
    """Return a socket that is bound to host and port, and listens if it can. `shared`: the port is other
    workers', too. Raises ProxyError."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
        with ExitStack() as stack:
            sock = stack.enter_context(socket.socket(family, kind))
            sock.setblocking(False)
            if shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if kind is socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            if kind is socket.SOCK_STREAM:
                sock.listen(BACKLOG)
            stack.pop_all()  # it is to stay open
    except OSError as error:
        raise ProxyError(listen_error(error, host, port)) from None
    return sock


def listen_error(error: OSError, host: str, port: int) -> str:
    """Return why the proxy cannot listen, and what would help."""
    where = f"cannot listen on {join_address(host, port)}"
    if error.errno == errno.EADDRINUSE:
        return f"{where}: the port is taken; choose another, or 0 for any free one"
    if error.errno == errno.EACCES:
        return f"{where}: ports below 1024 need privileges; choose a higher one"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where}: this machine has no such address; use one of its own, or 0.0.0.0 for all"
    return f"{where}: {error.strerror or error}"

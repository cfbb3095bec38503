"""Real sockets for checks: a learner's handler between a client and a backend that the check itself plays."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from lbkit.course.task import Wrong

PATIENCE = 3.0  # seconds, by the clock, until what has not arrived does not arrive
SMALL = 1 << 16  # bytes that a socket's own buffers hold
SHOWN = 160  # bytes that a message shows
QUIET = 25  # looks in a row at which nothing has moved
LOOK = 0.01  # seconds between two looks

Address = tuple[str, int]


def shown(data: bytes) -> str:
    """Return bytes as a message shows them."""
    text = ascii(data.decode("latin-1"))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ... ({len(data)} bytes)"


class Line:
    """One end of a connection, "the client" or "the backend"; `got` has what was read and not taken."""

    def __init__(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.name = name
        self.reader, self.writer = reader, writer
        self.got = b""
        self.ended = False

    async def send(self, data: bytes, end: bool = False) -> None:
        with contextlib.suppress(OSError):  # what is said of it is what arrives, or does not
            self.writer.write(data)
            if end:
                self.writer.write_eof()
            async with asyncio.timeout(PATIENCE):
                await self.writer.drain()

    async def until(self, holds: Callable[[bytes], Any], expected: str, hint: str = "") -> bytes:
        """Read until `holds` is true of all that is here; return it. Raises Wrong if it does not come."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not holds(self.got) and not self.ended:
                    await self._read()
        except TimeoutError:
            raise Wrong(expected, self._so_far(f"then nothing for {PATIENCE:g} s"), hint) from None
        if not holds(self.got):
            raise Wrong(expected, self._so_far("then the end of the connection"), hint)
        return self.got

    async def end(self, expected: str, hint: str = "") -> bytes:
        """Read to the end of the connection; return all. Raises Wrong if it does not end."""
        return await self.until(lambda _: self.ended, expected, hint)

    async def head(self, expected: str, hint: str = "") -> str:
        """Take a head off what arrives; return it. Raises Wrong."""
        await self.until(lambda got: b"\r\n\r\n" in got, expected, hint)
        head, _, self.got = self.got.partition(b"\r\n\r\n")
        return head.decode("latin-1")

    async def take(self, wanted: bytes, expected: str, hint: str = "") -> None:
        """Take exactly these bytes off what arrives. Raises Wrong."""
        await self.until(lambda got: len(got) >= len(wanted), expected, hint)
        piece, self.got = self.got[: len(wanted)], self.got[len(wanted) :]
        if piece != wanted:
            raise Wrong(expected, f"it got {shown(piece)}", hint)

    async def _read(self) -> None:
        try:
            piece = await self.reader.read(SMALL)
        except ConnectionError:
            piece = b""
        self.got += piece
        self.ended = not piece

    def _so_far(self, then: str) -> str:
        return f"{self.name} got {shown(self.got) if self.got else 'no byte of it'}, {then}"


class Scene:
    """What a check plays in: the learner's handlers, backends, and clients."""

    def __init__(self) -> None:
        self.raised: list[Exception] = []  # by the learner's code
        self._broken = asyncio.Event()  # set when it has raised: what it has not done, it does not do
        self._servers: list[asyncio.Server] = []
        self._lines: list[Line] = []
        self._fronts: list[asyncio.StreamWriter] = []  # those that the learner's code has to close
        self._tasks: set[asyncio.Task[Any]] = set()

    async def front(self, handler: Callable[..., Awaitable[object]], argument: Any) -> Address:
        """Listen; run `handler(reader, writer, argument)`, the learner's, for each connection."""

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            self._tasks.add(task)
            self._fronts.append(writer)
            try:
                await handler(reader, writer, argument)
            except Exception as error:
                self.raised.append(error)
                self._broken.set()
                writer.close()  # as asyncio itself does
            except asyncio.CancelledError:
                pass  # by `close`: it would be printed as an error
            finally:
                self._tasks.discard(task)

        return await self._listen(connected)

    async def backend(self) -> tuple[Address, asyncio.Queue[Line]]:
        """Listen; return the address, and a queue of the connections that come."""
        lines: asyncio.Queue[Line] = asyncio.Queue()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            lines.put_nowait(self._line("the backend", reader, writer))

        return await self._listen(connected), lines

    async def connect(self, address: Address) -> Line:
        here = small_socket()
        here.setblocking(False)
        await asyncio.get_running_loop().sock_connect(here, address)
        return self._line("the client", *await asyncio.open_connection(sock=here))

    async def accept(self, lines: asyncio.Queue[Line], expected: str, hint: str = "") -> Line:
        """Return the next connection to a backend. Raises Wrong if there is none."""
        line = asyncio.ensure_future(lines.get())
        broken = asyncio.ensure_future(self._broken.wait())
        await asyncio.wait((line, broken), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        broken.cancel()
        if not line.done() and self.raised:  # a connection may be there already, and its turn has not come
            await asyncio.wait((line,), timeout=LOOK)
        if line.done():
            return line.result()
        line.cancel()
        waited = "" if self.raised else f" within {PATIENCE:g} s"
        raise Wrong(expected, f"the backend got no connection{waited}", hint)

    async def flood(self, line: Line, size: int, piece: bytes = b"x" * SMALL) -> int:
        """Send up to `size` bytes, until nothing moves; return how many were taken."""
        sent = 0

        async def sending() -> None:
            nonlocal sent
            with contextlib.suppress(ConnectionError):
                while sent < size:
                    line.writer.write(piece)
                    await line.writer.drain()
                    sent += len(piece)

        task = asyncio.create_task(sending())
        quiet = 0
        while quiet < QUIET and not task.done():
            before = sent
            await asyncio.sleep(LOOK)
            quiet = quiet + 1 if sent == before else 0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return sent

    async def done(self, expected: str, hint: str = "") -> None:
        """Wait until the learner's handlers have returned. Raises Wrong if one goes on, or has raised."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=PATIENCE)
        if self._tasks:
            raise Wrong(expected, f"it still runs after {PATIENCE:g} s", hint)
        if self.raised:
            raise Wrong(expected, "it ended with an exception", hint)

    async def close(self) -> None:
        """End everything, and what the learner's code still does."""
        for server in self._servers:
            server.close()
        for line in self._lines:
            line.writer.transport.abort()
        for writer in self._fronts:
            writer.transport.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _line(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Line:
        self._lines.append(Line(name, reader, writer))
        return self._lines[-1]

    async def _listen(self, connected: Callable[..., Awaitable[None]]) -> Address:
        listener = small_socket()
        listener.bind(("127.0.0.1", 0))
        self._servers.append(await asyncio.start_server(connected, sock=listener))
        address: Address = listener.getsockname()
        return address


def small_socket() -> socket.socket:
    """Return a socket with small buffers, so that what is not read is soon not taken."""
    here = socket.socket()
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        here.setsockopt(socket.SOL_SOCKET, option, SMALL)
    return here


def play(script: Callable[[Scene], Awaitable[None]]) -> None:
    """Run a check's script. Raises Wrong, which also tells what the learner's code raised meanwhile."""

    async def playing() -> None:
        scene = Scene()
        try:
            await script(scene)
        except Wrong as wrong:
            if not scene.raised:
                raise
            error = scene.raised[0]
            if isinstance(error, NotImplementedError):
                raise error from None
            said = f"{wrong.happened}; the code raised {type(error).__name__}: {error}".rstrip(": ")
            raise Wrong(wrong.expected, said, wrong.hint) from None
        finally:
            await scene.close()

    asyncio.run(playing())

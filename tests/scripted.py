"""Backends that do exactly what a test says, and a client that sends exactly what it says."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from lbkit import Backend, Pool, make_balancer
from lbkit.net import Proxy

TIMEOUT = 60.0  # only reached when something is broken


class Connection:
    """One accepted connection, as a script sees it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(TIMEOUT)
        self.buffer = b""

    def head(self) -> bytes:
        """The next request's head; b"" if the other side has closed."""
        while b"\r\n\r\n" not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                return b""
            self.buffer += data
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def body(self, head: bytes) -> bytes:
        """Its body, as it was sent: with the chunks on."""
        lower = head.lower()
        if b"\r\ntransfer-encoding: chunked" in lower:
            return self.until(b"0\r\n\r\n")
        _, found, rest = lower.partition(b"\r\ncontent-length:")  # not X-Content-Length
        return self.exactly(int(rest.split(b"\r\n")[0])) if found else b""

    def until(self, end: bytes) -> bytes:
        while end not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError("closed in the middle of a body")
            self.buffer += data
        part, _, self.buffer = self.buffer.partition(end)
        return part + end

    def exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError("closed in the middle of a body")
            self.buffer += data
        part, self.buffer = self.buffer[:size], self.buffer[size:]
        return part

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reset(self) -> None:
        """Close with a RST, as a crash does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


Script = Callable[[Connection], None]


class Scripted:
    """Listens, on a port of the kernel's choice unless given, and runs `script` on every connection."""

    def __init__(
        self, script: Script, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.script = script
        self.tls = tls
        self.listener = socket.create_server((host, port))
        self.port: int = self.listener.getsockname()[1]
        self.connections = 0
        self.closed = threading.Event()
        self.live: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.live.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError), sock:
            if self.tls:
                sock.settimeout(TIMEOUT)
                with self.tls.wrap_socket(sock, server_side=True) as safe:
                    self.script(Connection(safe))
            else:
                self.script(Connection(sock))
        self.live.discard(sock)

    def close(self) -> None:
        """As a process that dies: nothing listens any more, and open connections end."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in list(self.live):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def echo(connection: Connection) -> None:
    """Answers every request with what it was, as the backend saw it."""
    while head := connection.head():
        seen = head + connection.body(head)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(seen), seen))


def answers(data: bytes) -> Script:
    """Answers every request with these bytes."""

    def script(connection: Connection) -> None:
        while head := connection.head():
            connection.body(head)
            connection.send(data)

    return script


@contextmanager
def nobody_listens() -> Iterator[int]:
    """A port that refuses connections. It is taken, so that no other process gets it meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def pool_of(*ports: int, algorithm: str = "round_robin") -> Pool:
    backends = [Backend(f"b{i}", host="127.0.0.1", port=port) for i, port in enumerate(ports, 1)]
    return Pool(backends, make_balancer(algorithm))


@contextmanager
def proxied(*scripts: Script, **options: object) -> Iterator[Proxy]:
    """A proxy before one scripted backend a script; all leases are back at the end."""
    backends = [Scripted(script) for script in scripts]
    pool = pool_of(*(b.port for b in backends))
    try:
        with Proxy(pool, **options) as proxy:  # type: ignore[arg-type]
            proxy.scripted = backends  # type: ignore[attr-defined]
            yield proxy
        assert all(b.in_flight == 0 for b in pool.backends), pool.backends
    finally:
        for backend in backends:
            backend.close()


class Client:
    """Sends bytes and reads answers, without any idea of what is allowed."""

    def __init__(self, proxy: Any) -> None:
        self.sock = socket.create_connection((proxy.host, proxy.port), timeout=TIMEOUT)
        self.buffer = b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def rest(self) -> bytes:
        """All until the proxy closes; ConnectionResetError if it aborts."""
        while data := self.sock.recv(65536):
            self.buffer += data
        everything, self.buffer = self.buffer, b""
        return everything

    def answer(self, head_only: bool = False) -> tuple[int, bytes, bytes]:
        """The next answer: status, head, body (with the chunks on)."""
        connection = Connection(self.sock)
        connection.sock.settimeout(TIMEOUT)
        connection.buffer = self.buffer
        head = connection.head()
        if not head:
            raise ConnectionError("closed without an answer")
        status = int(head[9:12])
        body = b"" if head_only or status < 200 or status in (204, 304) else connection.body(head)
        self.buffer = connection.buffer
        return status, head, body

    def closed(self) -> bool:
        """Waits for the proxy to close."""
        with suppress(ConnectionResetError):
            return self.buffer == b"" and self.sock.recv(1) == b""
        return True

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.sock.close()


def unchunked(body: bytes) -> bytes:
    """What is in a whole chunked body. Raises ValueError if it is not one."""
    content = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        content += body[:length]
        if body[length : length + 2] != b"\r\n":
            raise ValueError(f"a chunk does not end: {body[length:]!r}")
        body = body[length + 2 :]
        if not length:
            if body:
                raise ValueError(f"behind the last chunk: {body!r}")
            return content


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def ask(proxy: Any, data: bytes = GET) -> tuple[int, bytes, bytes]:
    """One request on a connection of its own."""
    with Client(proxy) as client:
        client.send(data)
        return client.answer(head_only=data.startswith(b"HEAD"))


def field(head: bytes, name: str) -> list[str]:
    """Return the values of the fields of this name."""
    found = re.findall(rf"(?mi)^{name}: *(.*?)\r$", head.decode())
    return [str(value) for value in found]

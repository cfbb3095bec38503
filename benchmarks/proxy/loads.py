"""What clients do: each load plays a number of requests, and ends the benchmark on a single bad answer."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import subprocess
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.proxy.echo import play
from benchmarks.proxy.lab import BODY, PAGE, echoes
from lbkit.live.program import listens
from lbkit.net.loop import new_event_loop
from lbkit.net.tls.lab import CA_CERT


class Load(ABC):
    per: ClassVar[str]  # what is counted

    def ready(self, port: int) -> bool:
        """Whether what listens there serves."""
        return listens(port)

    @abstractmethod
    def play(self, port: int, count: int, folder: Path) -> int:
        """Return how many were done; `folder` has the authority of certificates."""


@dataclass(frozen=True)
class Http(Load):
    """h2load, with connections that are kept, by HTTP/1.1 or HTTP/2."""

    path: str = "/some/path?id=1"
    tls: bool = False
    http2: bool = False
    fields: tuple[str, ...] = ()
    connections: int = 32
    streams: int = 1  # requests at once on each
    coded: bool = False  # bodies must be compressed

    per: ClassVar = "request"

    def play(self, port: int, count: int, folder: Path) -> int:
        count = max(count, self.connections)
        where = f"http{'s' if self.tls else ''}://127.0.0.1:{port}{self.path}"
        words = [
            *([] if self.http2 else ["--h1"]),
            f"-n{count}",
            f"-c{self.connections}",
            f"-m{self.streams}",
        ]
        words += [word for field in self.fields for word in ("-H", field)]
        said = subprocess.run(
            ["h2load", *words, where], capture_output=True, text=True, check=True, timeout=600
        ).stdout
        size = re.search(r"\((\d+)\) data", said)
        if f"status codes: {count} 2xx" not in said or not size:
            sys.exit(f"bad answers on port {port}:\n{said}")
        if self.coded and int(size[1]) > count * PAGE / 2:
            sys.exit(f"answers on port {port} are not compressed:\n{said}")
        return count


@dataclass(frozen=True)
class Connections(Load):
    """A connection for each request, one after the other; those with TLS may resume the session before."""

    tls: bool = False
    resumed: bool = False

    per: ClassVar = "connection"

    def play(self, port: int, count: int, folder: Path) -> int:
        context = ssl.create_default_context(cafile=str(folder / CA_CERT))
        session: ssl.SSLSession | None = None
        for number in range(count):
            client = socket.create_connection(("127.0.0.1", port), 20)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the request follows the handshake
            if self.tls:
                client = context.wrap_socket(client, server_hostname="localhost", session=session)
                if number and client.session_reused != self.resumed:
                    sys.exit(f"port {port} does {'not resume' if self.resumed else 'resume'} sessions")
            with client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                answer = b"".join(iter(lambda: client.recv(4096), b""))  # noqa: B023 - used at once
                if BODY not in answer:
                    sys.exit(f"a bad answer on port {port}: {answer!r}")
                if isinstance(client, ssl.SSLSocket) and self.resumed:
                    session = client.session
        return count


@dataclass(frozen=True)
class Echoes(Load):
    """Connections or sessions that last, with one round trip at a time on each."""

    size: int  # bytes each way
    udp: bool = False
    connections: int = 20

    per: ClassVar = "round trip"

    def ready(self, port: int) -> bool:
        return echoes(port) if self.udp else listens(port)

    def play(self, port: int, count: int, folder: Path) -> int:
        trips = max(1, count // self.connections)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(play(port, self.connections, self.size, trips, self.udp))

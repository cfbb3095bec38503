"""Clients whose heads are all the same, or all different; those that h2load sends are always the same."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.proxy.lab import BODY
from benchmarks.proxy.loads import Load
from lbkit.net.loop import new_event_loop

LATE = 20.0  # seconds after which an answer is lost
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
REQUEST = (
    b"GET /%b/%d?page=%d HTTP/1.1\r\nHost: shop.example\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    b"Accept-Language: en-GB,en;q=0.5\r\nConnection: keep-alive\r\nCookie: sid=%032x; theme=dark\r\n"
    b"If-Modified-Since: Fri, 27 Nov 2026 %02d:%02d:%02d GMT\r\n\r\n"
)


def request(number: int, varied: bool) -> bytes:
    """Return one of many: `varied`: with a path, query, cookie and date of its own."""
    n = number if varied else 0
    where = b"varied" if varied else b"same"
    return REQUEST % (where, n, n % 97, 7919 * n, n // 3600 % 24, n // 60 % 60, n % 60)


class Visitor(asyncio.Protocol):
    """Sends requests one after the other, each when the answer to the last is complete."""

    transport: Any

    def __init__(self, first: int, count: int, varied: bool) -> None:
        self.number, self.last, self.varied = first, first + count, varied
        self.answer = b""
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(request(self.number, self.varied))

    def data_received(self, data: bytes) -> None:
        self.answer = answer = self.answer + data if self.answer else data
        end = answer.find(b"\r\n\r\n") + 4
        length = LENGTH.search(answer, 0, end)
        if end < 4 or length is None or len(answer) < end + int(length[1]):
            return
        if not (answer.startswith(b"HTTP/1.1 200 ") and answer.startswith(BODY, end)):
            self.fail(f"a bad answer: {answer!r}")
            return
        self.answer = b""
        self.number += 1
        if self.number < self.last:
            self.transport.write(request(self.number, self.varied))
        elif not self.over.done():
            self.over.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(f"closed too early: {exc}")

    def fail(self, why: str) -> None:
        if not self.over.done():
            self.over.set_exception(ConnectionError(why))


async def visit(port: int, connections: int, each: int, varied: bool) -> None:
    """Play `each` requests on each connection. Raises ConnectionError, TimeoutError."""
    loop = asyncio.get_running_loop()
    visitors = [Visitor(i * each, each, varied) for i in range(connections)]
    for visitor in visitors:
        await loop.create_connection(lambda v=visitor: v, "127.0.0.1", port)  # type: ignore[misc]
    for visitor in visitors:
        await asyncio.wait_for(visitor.over, LATE)
        visitor.transport.abort()


@dataclass(frozen=True)
class Heads(Load):
    """Kept connections on which all heads are the same, or all differ: those of the requests in path, query,
    cookie and date, those of the answers in a cookie and the length."""

    varied: bool
    connections: int = 32

    per: ClassVar = "request"

    def play(self, port: int, count: int, folder: Path) -> int:
        each = max(1, count // self.connections)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            try:
                runner.run(visit(port, self.connections, each, self.varied))
            except TimeoutError:
                sys.exit(f"port {port}: no answer in {LATE:g} s")
            except OSError as error:
                sys.exit(f"port {port}: {error}")
        return each * self.connections

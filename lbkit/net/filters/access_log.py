"""An access log: one line for each exchange, in the format of web servers."""

from __future__ import annotations

import re
import sys
import time
from typing import TextIO

from lbkit.net.filters.base import Filter, WrappedSink
from lbkit.net.messages import ExchangeView, ResponseHead

_UNSAFE = re.compile(r"[^ !#-\[\]-~]")  # could end a line or a quoted string, or is not ASCII


class AccessLogFilter(Filter):
    r"""Writes the combined log format, followed by the backend and the seconds that the exchange took:

    `client - - [time] "request line" status bytes "referer" "user agent" backend seconds`

    (Apache HTTP Server, mod_log_config, "combined".) `path`: a file to append to, or "-" for standard error.
    Text from clients and backends is escaped (\x22), so that it cannot forge a line.
    Raises OSError.
    """

    name = "access_log"

    def __init__(self, path: str) -> None:
        self._own = path != "-"
        self._file: TextIO = (
            open(path, "a", encoding="ascii", buffering=1)  # noqa: SIM115 - closed with the proxy
            if self._own
            else sys.stderr
        )

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        exchange.state[self.index] = _CountingSink(exchange)

    def on_end(self, exchange: ExchangeView, now: float) -> None:
        request = exchange.request
        counter: _CountingSink | None = exchange.state[self.index]
        line = (
            f"{request.method.decode('latin-1')} {request.original.decode('latin-1')} HTTP/{request.version}"
        )
        stamp = time.strftime("%d/%b/%Y:%H:%M:%S %z", time.localtime(time.time() - (now - exchange.began)))
        backend = exchange.backend.name if exchange.backend else "-"
        texts = [quoted(text) for text in (line, self._field(request.field(b"referer")))]
        agent = quoted(self._field(request.field(b"user-agent")))
        size = counter.size if counter else 0
        self._file.write(
            f"{escaped(request.client)} - - [{stamp}] {texts[0]} {exchange.status or 499} {size} {texts[1]}"
            f" {agent} {escaped(backend).replace(' ', '_')} {now - exchange.began:.6f}\n"
        )

    @staticmethod
    def _field(value: bytes) -> str:
        return value.decode("latin-1") or "-"

    async def close(self) -> None:
        if self._own:
            self._file.close()


class _CountingSink(WrappedSink):
    """Counts the bytes of a body."""

    size = 0

    def respond(self, head: ResponseHead, data: bytes, end: bool) -> None:
        self.size += len(data)
        super().respond(head, data, end)

    def send(self, data: bytes, end: bool) -> None:
        self.size += len(data)
        super().send(data, end)


def escaped(text: str) -> str:
    return _UNSAFE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def quoted(text: str) -> str:
    return f'"{escaped(text)}"'

"""An access log: one line for each exchange, in a format of web servers, with how long each step took."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from lbkit.net.filters.base import Filter, WrappedSink
from lbkit.net.messages import ExchangeView, ResponseHead
from lbkit.net.tracing.context import read_context

_UNSAFE = re.compile(r"[^ !#-\[\]-~]")  # could end a line or a quoted string, or is not ASCII
LEFT = 499  # the client left before an answer; nginx has it so


class AccessLogFilter(Filter):
    """Writes a line when an exchange is over. `path`: a file to append to, or "-" for standard error; `form`:
    one of FORMATS.

    All have the same fields, with nginx' names for times, in seconds: `request_time` (rt) in all;
    `queue_time` (queue) until the last backend was picked, in filters and on earlier attempts; from there on
    `upstream_connect_time` (uct; 0 with a kept connection), `upstream_header_time` (uht) to the head of its
    answer, and `upstream_response_time` (urt) to the end. HAProxy's Tt, Tw, Tc, Tr are near to them. JSON has
    the `trace_id`, too, of the traceparent that the backend gets.

    Raises OSError."""

    name = "access_log"

    def __init__(self, path: str, form: str = "combined") -> None:
        self._own = path != "-"
        self._line = FORMATS[form]
        self._file: TextIO = (
            open(path, "a", encoding="ascii", buffering=1)  # noqa: SIM115 - closed with the proxy
            if self._own
            else sys.stderr
        )

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        exchange.state[self.index] = _CountingSink(exchange)

    def on_end(self, exchange: ExchangeView, now: float) -> None:
        counter: _CountingSink | None = exchange.state[self.index]
        self._file.write(self._line(_fields(exchange, now, counter.size if counter else 0)) + "\n")

    async def close(self) -> None:
        if self._own:
            self._file.close()


def _fields(exchange: ExchangeView, now: float, size: int) -> dict[str, Any]:
    request = exchange.request
    lease = exchange.lease
    return {
        "remote_addr": request.client,
        "time": time.time(),
        "request_method": request.method.decode("latin-1"),
        "request_uri": request.original.decode("latin-1"),
        "server_protocol": f"HTTP/{request.version}",
        "status": exchange.status or LEFT,
        "body_bytes_sent": size,
        "http_referer": request.field(b"referer").decode("latin-1"),
        "http_user_agent": request.field(b"user-agent").decode("latin-1"),
        "backend": lease.backend.name if lease else "",
        "attempts": exchange.attempts,
        "request_time": round(now - exchange.began, 6),
        "head": request.data,
        **(_upstream(exchange, lease.start, now) if lease else {}),
    }


def _upstream(exchange: ExchangeView, picked: float, now: float) -> dict[str, float | None]:
    headed = exchange.headed >= picked  # else an earlier attempt's, or none
    return {
        "queue_time": round(picked - exchange.began, 6),
        "upstream_connect_time": round(max(0.0, exchange.connected - picked), 6),
        "upstream_header_time": round(exchange.headed - picked, 6) if headed else None,
        "upstream_response_time": round(now - picked, 6) if headed else None,
    }


# -- the formats -------------------------------------------------------------------------------------------

SHORT = {
    "rt": "request_time",
    "queue": "queue_time",
    "uct": "upstream_connect_time",
    "uht": "upstream_header_time",
    "urt": "upstream_response_time",
}


def combined(fields: dict[str, Any]) -> str:
    r"""Return the combined log format, followed by the backend and the times:

    `client - - [time] "request line" status bytes "referer" "user agent" backend rt=... queue=... urt=...`

    (Apache HTTP Server, mod_log_config, "combined".) Text from clients and backends is escaped (\x22), so
    that it cannot forge a line."""
    line = f"{fields['request_method']} {fields['request_uri']} {fields['server_protocol']}"
    texts = [quoted(text or "-") for text in (line, fields["http_referer"], fields["http_user_agent"])]
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S %z", time.localtime(fields["time"]))
    backend = escaped(fields["backend"] or "-").replace(" ", "_")
    times = " ".join(f"{short}={_time(fields.get(name))}" for short, name in SHORT.items())
    return (
        f"{escaped(fields['remote_addr'])} - - [{stamp}] {texts[0]} {fields['status']} "
        f"{fields['body_bytes_sent']} {texts[1]} {texts[2]} {backend} {times}"
    )


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.6f}"


def as_json(fields: dict[str, Any]) -> str:
    """Return an object; everything that is not ASCII is escaped."""
    fields["trace_id"] = context.trace_id if (context := read_context(fields.pop("head"))) else None
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(fields["time"]))
    milliseconds = int(fields["time"] % 1 * 1000)
    return json.dumps({**fields, "time": f"{stamp}.{milliseconds:03d}+00:00"}, separators=(",", ":"))


FORMATS: dict[str, Callable[[dict[str, Any]], str]] = {"combined": combined, "json": as_json}


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

"""Bandwidth limits: the bodies of answers are sent no faster than a token bucket of bytes allows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from time import monotonic
from weakref import WeakValueDictionary

from attrs import field, frozen

from lbkit.checks import number, whole
from lbkit.core.limit import TokenBucket
from lbkit.core.options import named_fields
from lbkit.core.scope import client_key, is_below, plain_path
from lbkit.edge import valid_key, valid_path
from lbkit.net.filters.base import Filter, WrappedSink
from lbkit.net.messages import ExchangeView, RequestHead, ResponseHead

EACH = "request"  # the key of a rule that limits each answer by itself
SLICES = 20  # a second: smooth for the client, cheap for the processor
PAUSE = 0.005  # seconds; a shorter wait is not worth a timer


@named_fields
@frozen
class Bandwidth:
    """A rule: answers to requests at `path` and below are sent at `rate` bytes a second, after a `burst`.

    `key`: the answers that share the rate: "request" limits each answer by itself (nginx: limit_rate, with
    burst as limit_rate_after), "global" all together; or a key as in a Policy, such as "client". The first
    rule that matches a request applies. Tunnels (WebSocket) are not limited. A burst is at least a tenth of a
    second's bytes.
    """

    rate: float = field(validator=number(1))
    burst: float = field(default=64 * 1024, validator=number(1))
    key: str = field(default=EACH)
    path: str = field(default="/", validator=valid_path)
    prefix: int = field(default=64, validator=whole(1))

    @key.validator
    def _a_key(self, attribute: object, value: str) -> None:
        if value != EACH:
            valid_key(self, attribute, value)  # type: ignore[arg-type]


class BandwidthFilter(Filter):
    """Limits the rate of answers' bodies by the first rule that matches."""

    name = "bandwidth"

    def __init__(self, rules: Sequence[Bandwidth]) -> None:
        self.rates = [Rate(rule) for rule in rules]

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        if head.own:
            return
        path = plain_path(exchange.request.target)
        for rate in self.rates:
            if is_below(path, rate.rule.path):
                pace = Pace(exchange, rate.line(exchange.request))
                exchange.state[self.index] = pace
                return

    def on_end(self, exchange: ExchangeView, now: float) -> None:
        if pace := exchange.state[self.index]:
            pace.cancel()


class Rate:
    """A rule, with its bucket and its lines."""

    def __init__(self, rule: Bandwidth) -> None:
        self.rule = rule
        self.slice = max(1, int(rule.rate / SLICES))
        self.bucket = self._bucket()
        self.key = None if rule.key == EACH else client_key(rule.key, rule.prefix)
        self.lines: WeakValueDictionary[str, Line] = WeakValueDictionary()  # a line lives while in use

    def _bucket(self) -> TokenBucket:
        # With room for two slices, a late timer does not lower the rate.
        return TokenBucket(self.rule.rate, max(self.rule.burst, 2 * self.slice))

    def line(self, request: RequestHead) -> Line:
        """Return the line in which the answer to this request waits."""
        if self.key is None:
            return Line(self._bucket(), "", self.slice)
        key = self.key(request)
        line = self.lines.get(key)
        if line is None:
            line = self.lines[key] = Line(self.bucket, key, self.slice)
        return line


class Line:
    """The answers that share a rate. They take turns, one slice each."""

    def __init__(self, bucket: TokenBucket, key: str, part: int) -> None:
        self.bucket = bucket
        self.key = key
        self.slice = part
        self.paces: deque[Pace] = deque()
        self.timer: asyncio.TimerHandle | None = None

    def join(self, pace: Pace) -> None:
        self.paces.append(pace)
        if len(self.paces) == 1:
            self.go()

    def leave(self, pace: Pace) -> None:
        self.paces.remove(pace)
        if not self.paces and self.timer:
            self.timer.cancel()

    def go(self) -> None:
        """Send the slices that the bucket allows now."""
        loop = asyncio.get_running_loop()
        while self.paces:
            pace, now = self.paces[0], monotonic()
            there = int(self.bucket.would(self.key, now, 0).remaining)
            part = min(len(pace.waiting), max(self.slice, there))
            decision = self.bucket.admit(self.key, now, part)
            if not decision.allowed:
                self.timer = loop.call_later(max(PAUSE, decision.retry_after), self.go)
                break
            self.paces.popleft()
            if pace.pass_on(part):
                self.paces.append(pace)


class Pace(WrappedSink):
    """Takes an answer's body and passes it on slice by slice.

    It buffers at most one read of the backend's connection, which is paused meanwhile.
    """

    __slots__ = ("done", "in_line", "line", "waiting")

    def __init__(self, exchange: ExchangeView, line: Line) -> None:
        super().__init__(exchange)
        self.line = line
        self.in_line = False
        self.waiting = bytearray()
        self.done = False  # the answer has ended

    def respond(self, head: ResponseHead, data: bytes, end: bool) -> None:
        if end and not data:
            super().respond(head, data, end)
            return
        self.next.respond(head, b"", False)
        self.send(data, end)

    def send(self, data: bytes, end: bool) -> None:
        self.waiting += data
        self.done = end
        if end and not self.waiting:
            super().send(b"", True)
            return
        self._join()
        if self.waiting:
            self.exchange.read_origin(False)

    def ready(self, ready: bool) -> None:
        """Called when the client can take more, or no more."""
        if not self.waiting:
            super().ready(ready)
        elif ready:
            self._join()

    def _join(self) -> None:
        if self.waiting and self.exchange.client.writable and not self.in_line:
            self.in_line = True
            self.exchange.suspend()  # until its turn
            self.line.join(self)

    def pass_on(self, size: int) -> bool:
        """Send a slice; return whether more is left."""
        exchange = self.exchange
        part = bytes(self.waiting[:size])
        del self.waiting[:size]
        exchange.resume()
        if not self.waiting:
            self.in_line = False
            self.next.send(part, self.done)
            if not self.done:
                exchange.read_origin(exchange.client.writable)
            return False
        self.next.send(part, False)
        self.in_line = exchange.client.writable
        if self.in_line:
            exchange.suspend()
        return self.in_line

    def cancel(self) -> None:
        self.waiting.clear()
        if self.in_line:
            self.in_line = False
            self.line.leave(self)

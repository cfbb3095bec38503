"""Bytes a second: the bodies of answers go out no faster than a token bucket of bytes allows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from attrs import field, frozen

from lbkit.core.limit import TokenBucket
from lbkit.core.scope import client_key, is_below, plain_path
from lbkit.distributions import number, whole
from lbkit.edge import valid_key, valid_path
from lbkit.net.http import Request

if TYPE_CHECKING:
    from lbkit.net.exchange import Exchange

EACH = "request"  # the key of a rule that gives every answer a rate of its own
SLICES = 20  # a second: smooth enough to the eye, and few enough for the processor
PAUSE = 0.005  # seconds: less is not worth a timer


@frozen
class Bandwidth:
    """A rule: answers to requests at `path` and below go out at `rate` bytes a second, after `burst` at once.

    `key`: who shares a rate: "request" is each answer by itself (nginx's limit_rate, with burst as
    limit_rate_after), "global" all together, or a key as in a Policy, such as "client". Of two rules for a
    request the first in order counts. What goes through an opened tunnel (WebSocket) is no body. A burst is
    at least a tenth of a second's bytes.
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


class Bandwidths:
    """All rules of a proxy."""

    def __init__(self, rules: Sequence[Bandwidth]) -> None:
        self.rates = [Rate(rule) for rule in rules]

    def pace(self, exchange: Exchange) -> Pace | None:
        """What an answer has to go through, if a rule is about it."""
        path = plain_path(exchange.request.target)
        for rate in self.rates:
            if is_below(path, rate.rule.path):
                return Pace(exchange, rate.line(exchange.request))
        return None


class Rate:
    """A rule at work."""

    def __init__(self, rule: Bandwidth) -> None:
        self.rule = rule
        self.slice = max(1, int(rule.rate / SLICES))
        self.bucket = self._bucket()
        self.key = None if rule.key == EACH else client_key(rule.key, rule.prefix)
        self.lines: WeakValueDictionary[str, Line] = WeakValueDictionary()  # each as long as somebody has it

    def _bucket(self) -> TokenBucket:
        # With place for two slices nothing of the rate is lost when a timer is late.
        return TokenBucket(self.rule.rate, max(self.rule.burst, 2 * self.slice))

    def line(self, request: Request) -> Line:
        """Where the answer to this request waits."""
        if self.key is None:
            return Line(self._bucket(), "", self.slice)
        key = self.key(request)
        line = self.lines.get(key)
        if line is None:
            line = self.lines[key] = Line(self.bucket, key, self.slice)
        return line


class Line:
    """Those who share a rate. They take turns, a slice each: else who asks first would always be first."""

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
        """Let pass what may pass now."""
        loop = asyncio.get_running_loop()
        while self.paces:
            pace, now = self.paces[0], loop.time()
            there = int(self.bucket.would(self.key, now, 0).remaining)
            part = min(len(pace.waiting), max(self.slice, there))
            decision = self.bucket.admit(self.key, now, part)
            if not decision.allowed:
                self.timer = loop.call_later(max(PAUSE, decision.retry_after), self.go)
                break
            self.paces.popleft()
            if pace.pass_on(part):
                self.paces.append(pace)


class Pace:
    """Stands between an exchange and its client: takes what is written, and passes it on slice by slice.

    What waits in here is one read of the backend's connection, which is not read on meanwhile.
    """

    __slots__ = ("done", "exchange", "in_line", "line", "waiting")

    def __init__(self, exchange: Exchange, line: Line) -> None:
        self.exchange = exchange
        self.line = line
        self.in_line = False
        self.waiting = bytearray()
        self.done = False  # nothing comes any more

    def write(self, data: bytes) -> None:
        self.waiting += data
        self.go()
        if self.waiting:
            self.exchange.read_on(False)

    def end(self) -> bool:
        """Nothing comes any more: is all passed on? Else the exchange will be told."""
        self.done = True
        return not self.waiting

    def go(self) -> None:
        """There is something to pass on, or the client takes something again."""
        writable = self.exchange.client.writable
        if not self.waiting:
            self.exchange.read_on(writable)
        elif writable and not self.in_line:
            self.in_line = True
            self.line.join(self)

    def pass_on(self, size: int) -> bool:
        """It is its turn. Whether it wants another one."""
        exchange = self.exchange
        exchange.client.write(bytes(self.waiting[:size]))
        exchange.client.touch()
        del self.waiting[:size]
        self.in_line = bool(self.waiting) and exchange.client.writable
        if not self.waiting:
            if self.done:
                exchange.passed_on()
            else:
                exchange.read_on(exchange.client.writable)
        return self.in_line

    def cancel(self) -> None:
        self.waiting.clear()
        if self.in_line:
            self.in_line = False
            self.line.leave(self)

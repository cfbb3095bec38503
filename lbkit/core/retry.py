"""The rules of retries, as data: timeouts, backoff, a budget, hedges and a fallback answer.

`attempts.py` decides which failures are retried.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from math import inf

from lbkit.core.options import named_fields, number, whole


@named_fields
@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff: retry n (from 0) waits up to `base` x `factor`^n seconds, at most `cap`.

    `jitter`: "full" draws each pause between 0 and that value, so that clients that failed together do not
    return together; "equal" draws it between half of the value and the value; "none" uses the value.
    (Brooker, Exponential Backoff And Jitter, AWS 2015. Envoy: base 25 ms, cap ten times that, full jitter.)
    Raises ValueError.
    """

    base: float = 0.025
    cap: float = 0.25
    factor: float = 2.0
    jitter: str = "full"

    def __post_init__(self) -> None:
        if not 0 <= self.base < inf:
            raise ValueError(f"base is {self.base}: use seconds, 0 or more")
        if not self.base <= self.cap < inf:
            raise ValueError(f"cap is {self.cap}: use seconds, at least base ({self.base:g})")
        if not 1 <= self.factor < inf:
            raise ValueError(f"factor is {self.factor}: use a number, at least 1")
        if self.jitter not in ("full", "equal", "none"):
            raise ValueError(f"jitter is {self.jitter!r}: use full, equal or none")

    def pause(self, retry: int, rng: random.Random) -> float:
        """Return the seconds to wait before retry number `retry`, from 0."""
        # Beyond some 1000 doublings a float overflows; the cap is reached long before.
        highest = min(self.cap, self.base * self.factor ** min(retry, 64))
        if self.jitter == "none":
            return highest
        lowest = highest / 2 if self.jitter == "equal" else 0.0
        return lowest + (highest - lowest) * rng.random()


@named_fields
@dataclass(frozen=True, slots=True)
class RetryBudgetRules:
    """Limits retries to `ratio` x the requests of the last `window` seconds.

    `minimum` retries a second are always allowed. In overload, retries thus add at most the share `ratio` to
    the load. (Finagle RetryBudget: 0.2, 10 s, 10 a second; Envoy retry_budget: 20 % of the active requests,
    at least 3.) Raises ValueError.
    """

    ratio: float = 0.2
    window: float = 10.0
    minimum: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.ratio <= 1000:
            raise ValueError(f"ratio is {self.ratio}: use a share, such as 0.2")
        if not 0 < self.window < inf:
            raise ValueError(f"window is {self.window}: use seconds above 0")
        if not 0 <= self.minimum < inf:
            raise ValueError(f"minimum is {self.minimum}: use retries a second, 0 or more")


class RetryBudget:
    """Counts requests and retries in a window of ten buckets."""

    __slots__ = ("_buckets", "_requests", "_retries", "_rules", "_width")

    def __init__(self, rules: RetryBudgetRules) -> None:
        self._rules = rules
        self._width = rules.window / 10
        self._buckets: deque[list[int]] = deque()  # [number, requests, retries]
        self._requests = self._retries = 0

    def _bucket(self, now: float) -> list[int]:
        """Drop expired buckets; return the counts of the current one."""
        number = int(now / self._width)
        while self._buckets and self._buckets[0][0] <= number - 10:
            _, requests, retries = self._buckets.popleft()
            self._requests -= requests
            self._retries -= retries
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append([number, 0, 0])
        return self._buckets[-1]

    def left(self, now: float) -> float:
        """Return how many retries are allowed now; it may be a fraction."""
        self._bucket(now)
        rules = self._rules
        return rules.ratio * self._requests + rules.minimum * rules.window - self._retries

    def request(self, now: float) -> None:
        """Count a new request."""
        self._bucket(now)[1] += 1
        self._requests += 1

    def retry(self, now: float) -> bool:
        """Return whether a retry is allowed, and count it if so."""
        bucket = self._bucket(now)
        rules = self._rules
        if self._retries + 1 > rules.ratio * self._requests + rules.minimum * rules.window:
            return False
        bucket[2] += 1
        self._retries += 1
        return True


@named_fields
@dataclass(frozen=True, slots=True)
class Hedge:
    """Sends another copy of a request that has no answer after `after` seconds; the first answer is used.

    A good value of `after` is the 95th percentile of latency: 5 % more requests then cut the tail. At most
    `max_copies` copies are sent, one each `after` seconds. Requests of a sticky session are not hedged, since
    no other backend has its state. (Dean and Barroso, The Tail at Scale, 2013.) Raises ValueError.
    """

    after: float
    max_copies: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.after < inf:
            raise ValueError(f"after is {self.after}: use seconds above 0")
        copies = self.max_copies
        if isinstance(copies, bool) or not isinstance(copies, int) or not 1 <= copies <= 10:
            raise ValueError(f"max_copies is {copies}: use a whole number from 1 to 10")


@named_fields
@dataclass(frozen=True, slots=True)
class AttemptTimeouts:
    """Timeouts of one attempt in seconds; None: only the engine's own limit.

    `connect`: until the connection is established. `first_byte`: from sending until the answer begins.
    `total`: until the answer is complete. An attempt without an answer by then is given up, and an idempotent
    request is sent to another backend. The simulator has no connections, and its answers arrive in one piece:
    there `connect` has no effect, and the shorter of the other two applies. Raises ValueError.
    """

    connect: float | None = None
    first_byte: float | None = None
    total: float | None = None

    def __post_init__(self) -> None:
        for name in ("connect", "first_byte", "total"):
            if getattr(self, name) is not None:
                number(0, above=True, **{name: getattr(self, name)})

    @property
    def until_answer(self) -> float:
        """The seconds until an answer has to begin; inf: no limit."""
        return min((t for t in (self.first_byte, self.total) if t is not None), default=inf)


@named_fields
@dataclass(frozen=True, slots=True)
class Fallback:
    """An answer to GET and HEAD that replaces the balancer's own 502, 503 or 504 after the last attempt.

    Other methods still get the error, as a client must not believe that its change was made. Raises
    ValueError.
    """

    body: str = ""
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"

    def __post_init__(self) -> None:
        whole(200, 599, status=self.status)
        if not self.content_type.isprintable() or not self.content_type.isascii():
            raise ValueError(f"content_type is {self.content_type!r}: use one such as application/json")


@named_fields
@dataclass(frozen=True, slots=True)
class Retry:
    """A policy's rules for retries, timeouts and hedges; each is off by default.

    `statuses`: statuses of backends that count as failures, such as 503. An idempotent request then goes to
    another backend; if no attempt is left, the client gets that answer. `buffer`: the bytes of a request's
    body that are kept for another attempt; with 0, requests with a body are never sent twice. `deadline`: the
    most seconds for a whole request. A client's `X-Request-Timeout` (seconds) or `grpc-timeout` can shorten
    it; backends get the remaining time in these fields, and a request past its deadline is answered 504
    without being sent. Raises ValueError.
    """

    backoff: Backoff | None = None
    budget: RetryBudgetRules | None = None
    hedge: Hedge | None = None
    timeouts: AttemptTimeouts | None = None
    deadline: float | None = None
    statuses: tuple[int, ...] = ()
    buffer: int = 65536
    fallback: Fallback | None = None

    def __post_init__(self) -> None:
        for name, kind in _PARTS.items():
            if not isinstance(part := getattr(self, name), kind | None):
                raise ValueError(f"{name} is {part!r}: use {kind.__name__}(...)")
        if self.deadline is not None:
            number(0, above=True, deadline=self.deadline)
        if isinstance(self.statuses, int | str):
            raise ValueError(f"statuses is {self.statuses!r}: use a list, such as [502, 503]")
        object.__setattr__(self, "statuses", tuple(self.statuses))
        for status in self.statuses:
            if isinstance(status, bool) or not isinstance(status, int) or not 400 <= status <= 599:
                raise ValueError(f"statuses has {status!r}: use statuses from 400 to 599")
        whole(0, 1 << 20, buffer=self.buffer)


_PARTS = {
    "backoff": Backoff,
    "budget": RetryBudgetRules,
    "hedge": Hedge,
    "timeouts": AttemptTimeouts,
    "fallback": Fallback,
}

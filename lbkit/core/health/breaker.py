"""Circuit breakers: after too many failures, fail at once for a while; then try a few requests."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import NamedTuple

from lbkit.core.options import named_fields

BUCKETS = 10  # of a window in seconds: the oldest leaves as a whole (Hystrix has ten of a second each)


class BreakerState(Enum):
    CLOSED = "closed"  # requests pass, and their outcomes count
    OPEN = "open"  # requests fail at once
    HALF_OPEN = "half open"  # a few requests pass, to see whether the fault is over


class _Cause(Enum):
    TRIPPED = "tripped"  # too many failures, or too many slow answers
    WAITED = "waited"  # `open_for` is over
    HEALED = "healed"  # the probes were good
    FAILED_AGAIN = "failed again"  # the probes were not


TRANSITIONS = {
    (BreakerState.CLOSED, _Cause.TRIPPED): BreakerState.OPEN,
    (BreakerState.OPEN, _Cause.WAITED): BreakerState.HALF_OPEN,
    (BreakerState.HALF_OPEN, _Cause.HEALED): BreakerState.CLOSED,
    (BreakerState.HALF_OPEN, _Cause.FAILED_AGAIN): BreakerState.OPEN,
}


@named_fields
@dataclass(frozen=True, slots=True)
class BreakerRules:
    """What opens a breaker, for how long, and what closes it.

    It opens after `consecutive` failures in a row, or when of the outcomes in the window a share of
    `failure_rate` failed, or `slow_rate` took longer than `slow_after` seconds; 0 turns each rule off.
    Shares count from `minimum` outcomes. The window is the last `window` seconds, or the last `calls`
    outcomes if that is set. After `open_for` seconds `probes` requests pass; they close it, unless the same
    shares (or one failure, where there is no `failure_rate`) open it again. Probes that have no outcome after
    another `open_for` seconds, such as a WebSocket, no longer keep others from passing.
    (Nygard, Release It!; the defaults are Hystrix's.) Raises ValueError.
    """

    failure_rate: float = 0.5
    minimum: int = 20
    window: float = 10.0
    calls: int = 0
    consecutive: int = 0
    slow_rate: float = 0.0
    slow_after: float = 0.0
    open_for: float = 5.0
    probes: int = 1

    def __post_init__(self) -> None:
        for name in ("failure_rate", "slow_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: use a share from 0 (off) to 1")
        for name, least in (("minimum", 1), ("calls", 0), ("consecutive", 0), ("probes", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 100_000:
                raise ValueError(f"{name} is {value}: use a whole number from {least} to 100000")
        for name in ("window", "open_for"):
            if not 0 < getattr(self, name) < inf:
                raise ValueError(f"{name} is {getattr(self, name)}: use seconds above 0")
        if not 0 <= self.slow_after < inf:
            raise ValueError(f"slow_after is {self.slow_after}: use seconds, 0 or more")
        if self.slow_rate and not self.slow_after:
            raise ValueError("slow_rate needs slow_after: the seconds above which an answer is slow")
        if not (self.failure_rate or self.slow_rate or self.consecutive):
            raise ValueError("nothing opens it: set failure_rate, slow_rate or consecutive")

    def breaker(self, name: str) -> Breaker:
        """Return a breaker with these rules for the backend of this name."""
        return Breaker(self)


class BreakerCounts(NamedTuple):
    """What a breaker has counted since its last change of state."""

    state: BreakerState
    outcomes: int  # in the window
    failed: int
    slow: int
    in_row: int  # failures, one after the other
    until: float | None  # when a breaker that is open lets requests pass
    running: int  # probes on their way, while half open
    passed: int  # probes that were good


class _Outcomes:
    """Counts of all, failed and slow outcomes, in a window of seconds or of calls."""

    __slots__ = ("_buckets", "_calls", "_width", "all", "failed", "slow")

    def __init__(self, window: float, calls: int) -> None:
        self._calls = calls
        self._width = window / BUCKETS
        # (number of the bucket, or of the call; all, failed, slow)
        self._buckets: deque[list[int]] = deque()
        self.all = self.failed = self.slow = 0

    def add(self, ok: bool, slow: bool, now: float) -> None:
        if self._calls:
            self._buckets.append([0, 1, not ok, slow])
            while len(self._buckets) > self._calls:
                self._drop()
        else:
            self.forget_old(now)
            number = int(now / self._width)
            if not self._buckets or self._buckets[-1][0] != number:
                self._buckets.append([number, 0, 0, 0])
            bucket = self._buckets[-1]
            bucket[1] += 1
            bucket[2] += not ok
            bucket[3] += slow
        self.all += 1
        self.failed += not ok
        self.slow += slow

    def forget_old(self, now: float) -> None:
        if not self._calls:
            oldest = int(now / self._width) - BUCKETS
            while self._buckets and self._buckets[0][0] <= oldest:
                self._drop()

    def _drop(self) -> None:
        _, count, failed, slow = self._buckets.popleft()
        self.all -= count
        self.failed -= failed
        self.slow -= slow

    def clear(self) -> None:
        self._buckets.clear()
        self.all = self.failed = self.slow = 0


class Breaker:
    """A circuit breaker, for one backend or a group of them."""

    __slots__ = (
        *("_failures_in_row", "_outcomes", "_probes", "_rules", "_running", "_since"),
        *("state", "wake"),
    )

    def __init__(self, rules: BreakerRules) -> None:
        self._rules = rules
        self.state = BreakerState.CLOSED
        self.wake: float | None = None  # when `allows` may change its answer without an outcome
        self._outcomes = _Outcomes(rules.window, rules.calls)
        self._failures_in_row = 0
        self._since = -inf  # seconds: of requests sent before this state began, outcomes say nothing about it
        self._running = 0  # probes on their way, while half open
        self._probes: list[tuple[bool, bool]] = []  # outcomes of probes: (ok, slow)

    def allows(self, now: float) -> bool:
        """Return whether a request may pass now. An open breaker becomes half open when its time is over."""
        if self.wake is not None and now >= self.wake:
            if self.state is BreakerState.OPEN:
                self._go(_Cause.WAITED, now)
            else:
                self._running, self.wake = 0, None
        if self.state is BreakerState.HALF_OPEN:
            return self._running + len(self._probes) < self._rules.probes
        return self.state is BreakerState.CLOSED

    def started(self, now: float) -> None:
        """Let a request pass; its outcome must follow (`ended`)."""
        if self.state is BreakerState.HALF_OPEN:
            self._running += 1
            self.wake = now + self._rules.open_for

    def ended(self, started: float, ok: bool | None, latency: float, now: float) -> BreakerState | None:
        """Take the outcome of a request that passed at `started`; return the new state if it changed.

        `ok` is None if nothing is known. A request from before the last change of state does not count."""
        if started < self._since or self.state is BreakerState.OPEN:
            return None
        rules = self._rules
        before = self.state
        slow = bool(rules.slow_after) and latency > rules.slow_after
        if before is BreakerState.HALF_OPEN:
            self._running = max(0, self._running - 1)  # it may be one that is no longer waited for
            if ok is not None:
                self._probes.append((ok, slow))
                self._judge_probes(now)
        elif ok is not None:
            self._outcomes.add(ok, slow, now)
            self._failures_in_row = 0 if ok else self._failures_in_row + 1
            if self._trips():
                self._go(_Cause.TRIPPED, now)
        return None if self.state is before else self.state

    def counts(self, now: float) -> BreakerCounts:
        """Return what it has counted; outcomes older than the window are forgotten, nothing else changes."""
        self._outcomes.forget_old(now)
        seen, is_open = self._outcomes, self.state is BreakerState.OPEN
        passed = sum(ok for ok, _ in self._probes)
        until = self.wake if is_open else None
        return BreakerCounts(
            self.state, seen.all, seen.failed, seen.slow, self._failures_in_row, until, self._running, passed
        )

    def order(self, opens: bool, now: float) -> None:
        """Open it, as if it had tripped, or close it. The operator's order holds in every state."""
        self._enter(BreakerState.OPEN if opens else BreakerState.CLOSED, now)

    def _trips(self) -> bool:
        rules, seen = self._rules, self._outcomes
        if rules.consecutive and self._failures_in_row >= rules.consecutive:
            return True
        if seen.all < rules.minimum:
            return False
        return _too_many(rules.failure_rate, seen.failed, seen.all) or _too_many(
            rules.slow_rate, seen.slow, seen.all
        )

    def _judge_probes(self, now: float) -> None:
        rules = self._rules
        count = len(self._probes)
        failed = sum(not ok for ok, _ in self._probes)
        slow = sum(slow for _, slow in self._probes)
        # As soon as the rest could not change it.
        allowed = rules.failure_rate * rules.probes if rules.failure_rate else 1
        if (failed and failed >= allowed) or _too_many(rules.slow_rate, slow, rules.probes):
            self._go(_Cause.FAILED_AGAIN, now)
        elif count >= rules.probes:
            self._go(_Cause.HEALED, now)

    def _go(self, cause: _Cause, now: float) -> None:
        self._enter(TRANSITIONS[self.state, cause], now)

    def _enter(self, state: BreakerState, now: float) -> None:
        self.state = state
        self._since = now
        self.wake = now + self._rules.open_for if self.state is BreakerState.OPEN else None
        self._running = 0
        self._probes.clear()
        self._outcomes.clear()
        self._failures_in_row = 0


def _too_many(share: float, count: int, of: int) -> bool:
    return bool(share) and count >= share * of

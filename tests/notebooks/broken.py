"""Limiters with the faults that the claims of chapter 07 exclude.

The underscore keeps them out of the registry of limiters."""

from __future__ import annotations

from types import SimpleNamespace

from lbkit.core.limit import Limiter


class _UncappedBucket(Limiter):
    """A token bucket without a cap: silence earns tokens for ever."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst

    def step(self, state: tuple[float, float] | None, now: float, cost: float) -> tuple[float, float] | None:
        tokens, since = state or (self.burst, now)
        left = tokens + (now - since) * self.rate - cost
        return (left, now) if left > -1e-9 else None


class _ForgetlessLog(Limiter):
    """A sliding log that never forgets: after `limit` requests it admits none."""

    def __init__(self, limit: int, window: float) -> None:
        self.most = limit

    def step(self, state: int | None, now: float, cost: float) -> int | None:
        count = (state or 0) + 1
        return count if count <= self.most else None


class _LooseLog(Limiter):
    """A sliding log with a limit that is one too high."""

    def __init__(self, limit: int, window: float) -> None:
        self.most, self.window = limit + 1, window

    def step(self, state: list[float] | None, now: float, cost: float) -> list[float] | None:
        recent = [t for t in state or [] if t > now - self.window]
        return [*recent, now] if len(recent) < self.most else None


class _WallClockBucket:
    """A token bucket that takes a clock's step back for time that passes backwards."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self.level: float = burst
        self.seen: float | None = None

    def admit(self, key: str, now: float) -> SimpleNamespace:
        since = now if self.seen is None else self.seen
        self.level = min(self.burst, self.level + (now - since) * self.rate)
        self.seen = now
        if self.level < 1:
            return SimpleNamespace(allowed=False)
        self.level -= 1
        return SimpleNamespace(allowed=True)

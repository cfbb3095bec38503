"""Against other people's limiters, on the same arrivals."""

from __future__ import annotations

import random

import pytest
from needs import need_module

from lbkit.core.limit import GCRA, FixedWindow, SlidingCounter, SlidingLog, TokenBucket

need_module("limits")
need_module("throttled")
import time

import throttled.utils
from limits import RateLimitItemPerSecond, storage, strategies
from throttled import Throttled, rate_limiter, store


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, now: float) -> None:
        self.now = now
        monkeypatch.setattr(time, "time", lambda: self.now)


def test_the_log_is_limits_moving_window(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, rng = Clock(monkeypatch, 1000.0), random.Random(3)
    theirs = strategies.MovingWindowRateLimiter(storage.MemoryStorage())
    ours, item = SlidingLog(10, 5), RateLimitItemPerSecond(10, 5)
    for _ in range(3000):
        clock.now += rng.expovariate(3.0)
        assert ours.admit("k", clock.now).allowed == theirs.hit(item, "k")


def test_windows_of_limits_begin_with_the_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours begin with the clock's, so both are the same where a request opens each of the clock's windows."""
    clock, rng = Clock(monkeypatch, 1000.0), random.Random(4)
    theirs = strategies.FixedWindowRateLimiter(storage.MemoryStorage())
    ours, item = FixedWindow(10, 5), RateLimitItemPerSecond(10, 5)
    for window in range(300):
        start = 1000.0 + 5 * window
        for moment in (start, *sorted(start + 0.01 + rng.random() * 4.9 for _ in range(rng.randrange(20)))):
            clock.now = moment
            assert ours.admit("k", moment).allowed == theirs.hit(item, "k")


def test_the_counter_admits_no_more_than_limits_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs rounds the weighted count down, which lets through up to one more at a time."""
    clock, rng = Clock(monkeypatch, 1000.0), random.Random(5)
    theirs = strategies.SlidingWindowCounterRateLimiter(storage.MemoryStorage())
    ours, log = SlidingCounter(100, 5), SlidingLog(100, 5)
    item = RateLimitItemPerSecond(100, 5)
    counts = [0, 0, 0]
    for _ in range(20_000):
        clock.now += rng.expovariate(30.0)
        counts[0] += ours.admit("k", clock.now).allowed
        counts[1] += theirs.hit(item, "k")
        counts[2] += log.admit("k", clock.now).allowed
    mine, other, exact = counts
    assert mine <= other
    assert mine == pytest.approx(exact, rel=0.03)


def test_the_bucket_is_throttleds_at_whole_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs knows no fractions of a second."""
    now = [1000]
    monkeypatch.setattr(throttled.utils, "now_sec", lambda: now[0])
    quota = rate_limiter.per_sec(2, burst=6)
    theirs = Throttled(key="k", using="token_bucket", quota=quota, store=store.MemoryStore())
    bucket, cell, rng = TokenBucket(2, 6), GCRA(2, 6), random.Random(1)
    for _ in range(2000):
        now[0] += rng.choice([0, 0, 0, 1, 1, 2])
        expected = not theirs.limit().limited
        assert bucket.admit("k", now[0]).allowed == cell.admit("k", now[0]).allowed == expected

"""Buckets: a rate in the long run, and a burst at once. Token bucket, leaky bucket, GCRA, limit_req."""

from __future__ import annotations

from lbkit.core.limit.base import TINY, Decision, Limiter, new_tuple, positive


class TokenBucket(Limiter[tuple[float, float]]):
    """A bucket of up to `burst` tokens; `rate` arrive a second, a request takes one for each unit of cost.

    In every interval of t seconds at most burst + rate x t is admitted. A state is (tokens, when).
    (Traefik, Envoy, AWS; Tanenbaum, Computer Networks.)
    """

    limit_name = "burst"

    def __init__(self, rate: float, burst: float = 1.0) -> None:
        positive(rate=rate, burst=burst)
        self.rate = float(rate)
        self.burst = self.limit = float(burst)

    def step(self, state: tuple[float, float] | None, now: float, cost: float) -> tuple[float, float] | None:
        if state is None:
            left = self.burst - cost
        else:
            tokens, since = state
            tokens += (now - since) * self.rate
            left = (tokens if tokens < self.burst else self.burst) - cost
        return (left, now) if left >= -TINY else None

    def granted(self, after: tuple[float, float], now: float, cost: float) -> Decision:
        left, burst = after[0], self.burst
        return new_tuple(Decision, (True, burst, left, 0.0, (burst - left) / self.rate, 0.0))

    def denied(self, before: tuple[float, float] | None, now: float, cost: float) -> Decision:
        burst, rate = self.burst, self.rate
        tokens = before[0] + (now - before[1]) * rate if before else burst
        if tokens > burst:
            tokens = burst
        return new_tuple(
            Decision, (False, burst, tokens, (cost - tokens) / rate, (burst - tokens) / rate, 0.0)
        )

    def over(self, state: tuple[float, float], now: float) -> bool:
        return state[0] + (now - state[1]) * self.rate >= self.burst


class LeakyBucket(Limiter[tuple[float, float]]):
    """The leaky bucket as a meter: a request adds its cost, `rate` a second leaks out.

    A request that would overflow it is rejected. The token bucket seen from the other side: its level is the
    number of tokens missing there. A state is
    (level, when). (Turner, IEEE Communications Magazine 24(10), 1986.)
    """

    limit_name = "capacity"

    def __init__(self, rate: float, capacity: float = 1.0) -> None:
        positive(rate=rate, capacity=capacity)
        self.rate = float(rate)
        self.capacity = self.limit = float(capacity)

    def step(self, state: tuple[float, float] | None, now: float, cost: float) -> tuple[float, float] | None:
        if state is None:
            level = cost
        else:
            level, since = state
            level -= (now - since) * self.rate
            level = (level if level > 0.0 else 0.0) + cost
        return (level, now) if level <= self.capacity + TINY else None

    def granted(self, after: tuple[float, float], now: float, cost: float) -> Decision:
        level, capacity = after[0], self.capacity
        return new_tuple(Decision, (True, capacity, capacity - level, 0.0, level / self.rate, 0.0))

    def denied(self, before: tuple[float, float] | None, now: float, cost: float) -> Decision:
        capacity, rate = self.capacity, self.rate
        level = before[0] - (now - before[1]) * rate if before else 0.0
        if level < 0.0:
            level = 0.0
        wait = (level + cost - capacity) / rate
        return new_tuple(Decision, (False, capacity, capacity - level, wait, level / rate, 0.0))

    def over(self, state: tuple[float, float], now: float) -> bool:
        return state[0] - (now - state[1]) * self.rate <= 0


class LeakyQueue(Limiter[float]):
    """The leaky bucket as a queue: requests leave evenly spaced at `rate` a second, up to `capacity` wait.

    An admitted request is delayed until its turn. A state is the moment at which the queue is empty again.
    """

    limit_name = "capacity"

    def __init__(self, rate: float, capacity: float = 10.0) -> None:
        positive(rate=rate, capacity=capacity)
        self.rate = float(rate)
        self.capacity = self.limit = float(capacity)
        self.window = self.capacity / self.rate  # seconds to empty a full queue

    def step(self, state: float | None, now: float, cost: float) -> float | None:
        empty = (now if state is None or state < now else state) + cost / self.rate
        return empty if empty - now <= self.window + TINY else None

    def granted(self, after: float, now: float, cost: float) -> Decision:
        rate, capacity, queue = self.rate, self.capacity, after - now
        wait = queue - cost / rate
        delay = wait if wait > TINY else 0.0
        return new_tuple(Decision, (True, capacity, capacity - queue * rate, 0.0, queue, delay))

    def denied(self, before: float | None, now: float, cost: float) -> Decision:
        rate, capacity = self.rate, self.capacity
        queue = 0.0 if before is None or before < now else before - now
        retry = queue + (cost - capacity) / rate
        return new_tuple(Decision, (False, capacity, capacity - queue * rate, retry, queue, 0.0))

    def over(self, state: float, now: float) -> bool:
        return state <= now


class GCRA(Limiter[float]):
    """The token bucket as one number a key: the theoretical arrival time of the next request.

    At the rate, requests arrive every T = 1/rate. A request may arrive early by up to (burst - 1) x T.
    Decides exactly as the token bucket. (ATM Forum, Traffic Management 4.0, 1996:
    generic cell rate algorithm, virtual scheduling.)
    """

    name = "gcra"
    limit_name = "burst"

    def __init__(self, rate: float, burst: float = 1.0) -> None:
        positive(rate=rate, burst=burst)
        self.rate = float(rate)
        self.burst = self.limit = float(burst)
        self.every = 1 / self.rate  # T
        self.window = self.burst / self.rate  # tau + T

    def step(self, state: float | None, now: float, cost: float) -> float | None:
        after = (now if state is None or state < now else state) + cost * self.every
        return after if after - now <= self.window + TINY else None

    def granted(self, after: float, now: float, cost: float) -> Decision:
        used = after - now
        left = (self.window - used) * self.rate
        return new_tuple(Decision, (True, self.burst, left, 0.0, used, 0.0))

    def denied(self, before: float | None, now: float, cost: float) -> Decision:
        used = 0.0 if before is None or before < now else before - now
        left, wait = (self.window - used) * self.rate, used + cost * self.every - self.window
        return new_tuple(Decision, (False, self.burst, left, wait, used, 0.0))

    def over(self, state: float, now: float) -> bool:
        return state <= now


class NginxLimit(Limiter[tuple[int, int]]):
    """nginx's limit_req: a leaky bucket that counts in thousandths of a request and in milliseconds.

    Up to `burst` requests above the rate are admitted: the first `delay` of them at once, the others delayed
    to the rate. A `delay` of `burst` is `nodelay`. With burst=k and nodelay exactly k + 1 are admitted at
    once. A state is (excess, milliseconds). (ngx_http_limit_req_module.c.)
    """

    limit_name = "burst and one"

    def __init__(self, rate: float, burst: int = 0, delay: int | None = None) -> None:
        """`delay` None is nodelay."""
        positive(rate=rate)
        if burst < 0:
            raise ValueError(f"burst is {burst}: use 0 or more")
        if delay is not None and delay < 0:
            raise ValueError(f"delay is {delay}: use 0 or more, or None for nodelay")
        self.rate, self.burst = float(rate), int(burst)
        self.limit = self.burst + 1.0
        self.delay = self.burst if delay is None else int(delay)
        self._rate, self._max_excess = int(rate * 1000), self.burst * 1000
        if not self._rate:
            raise ValueError(f"rate is {rate}: use at least 0.001, as nginx counts in thousandths a second")

    def step(self, state: tuple[int, int] | None, now: float, cost: float) -> tuple[int, int] | None:
        clock, excess = int(now * 1000), int(cost * 1000)
        if state is None:
            excess -= 1000  # the first is free
        else:
            excess += state[0] - self._rate * (clock - state[1]) // 1000
        if excess < 0:
            excess = 0
        return (excess, clock) if excess <= self._max_excess else None

    def granted(self, after: tuple[int, int], now: float, cost: float) -> Decision:
        excess, rate = after[0], self._rate
        wait = max(0, excess - self.delay * 1000) / rate
        left = (self._max_excess - excess) / 1000
        return new_tuple(Decision, (True, self.limit, left, 0.0, (excess + 1000) / rate, wait))

    def denied(self, before: tuple[int, int] | None, now: float, cost: float) -> Decision:
        excess, since = before or (-1000, 0)
        excess -= self._rate * (int(now * 1000) - since) // 1000 if before else 0
        retry = (excess + int(cost * 1000) - self._max_excess) / self._rate
        left = max(0.0, (self._max_excess - excess) / 1000)
        return new_tuple(Decision, (False, self.limit, left, retry, max(0, excess + 1000) / self._rate, 0.0))

    def over(self, state: tuple[int, int], now: float) -> bool:
        return state[0] + 1000 <= self._rate * (int(now * 1000) - state[1]) // 1000

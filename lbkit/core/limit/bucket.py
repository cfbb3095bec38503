"""Buckets: a rate in the long run, and a burst at once. Token bucket, leaky bucket, GCRA, limit_req."""

from __future__ import annotations

from lbkit.core.limit.base import TINY, TOLERANCE, Decision, Limiter, new_tuple, positive
from lbkit.core.options import whole

TICKS = 10**12  # a second, where a state is a moment: whole numbers add up without drifting
EARLY = int(TOLERANCE * TICKS)


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
        self._debt = -TINY - TOLERANCE * self.rate  # tokens of a request that is early

    def step(self, state: tuple[float, float] | None, now: float, cost: float) -> tuple[float, float] | None:
        if state is None:
            left = self.burst - cost
        else:
            tokens, since = state
            tokens += (now - since) * self.rate
            left = (tokens if tokens < self.burst else self.burst) - cost
        return (left, now) if left >= self._debt else None

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
        self._highest = self.capacity + TINY + TOLERANCE * self.rate  # level with a request that is early

    def step(self, state: tuple[float, float] | None, now: float, cost: float) -> tuple[float, float] | None:
        if state is None:
            level = cost
        else:
            level, since = state
            level -= (now - since) * self.rate
            level = (level if level > 0.0 else 0.0) + cost
        return (level, now) if level <= self._highest else None

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


class LeakyQueue(Limiter[int]):
    """The leaky bucket as a queue: requests leave evenly spaced at `rate` a second, up to `capacity` wait.

    An admitted request is delayed until its turn. A state is the moment at which the queue is empty again,
    in picoseconds.
    """

    limit_name = "capacity"

    def __init__(self, rate: float, capacity: float = 10.0) -> None:
        positive(rate=rate, capacity=capacity)
        self.rate = float(rate)
        self.capacity = self.limit = float(capacity)
        self._every = TICKS / self.rate
        self._one = int(self._every)  # ticks of a request
        self._window = int(self.capacity * self._every) + EARLY  # ticks to empty a full queue

    def step(self, state: int | None, now: float, cost: float) -> int | None:
        clock = int(now * TICKS)
        empty = clock if state is None or state < clock else state
        empty += self._one if cost == 1 else int(cost * self._every)
        return empty if empty - clock <= self._window else None

    def granted(self, after: int, now: float, cost: float) -> Decision:
        queue = (after - int(now * TICKS)) / TICKS
        wait = queue - cost / self.rate
        delay = wait if wait > TINY else 0.0
        return new_tuple(
            Decision, (True, self.capacity, self.capacity - queue * self.rate, 0.0, queue, delay)
        )

    def denied(self, before: int | None, now: float, cost: float) -> Decision:
        rate, capacity = self.rate, self.capacity
        queue = max(0, before - int(now * TICKS)) / TICKS if before else 0.0
        retry = queue + (cost - capacity) / rate
        return new_tuple(Decision, (False, capacity, capacity - queue * rate, retry, queue, 0.0))

    def over(self, state: int, now: float) -> bool:
        return state <= now * TICKS


class GCRA(Limiter[int]):
    """The token bucket as one number a key: the theoretical arrival time of the next request.

    At the rate, requests arrive every T = 1/rate. A request may arrive early by up to (burst - 1) x T.
    Decides exactly as the token bucket. A state is a moment in picoseconds, a whole number: a float since
    1970 would lose a tenth of a microsecond at each addition. (ATM Forum, Traffic Management 4.0, 1996:
    generic cell rate algorithm, virtual scheduling.)
    """

    name = "gcra"
    limit_name = "burst"

    def __init__(self, rate: float, burst: float = 1.0) -> None:
        positive(rate=rate, burst=burst)
        self.rate = float(rate)
        self.burst = self.limit = float(burst)
        self._every = TICKS / self.rate  # T
        self._one = int(self._every)
        self._window = int(self.burst * self._every) + EARLY  # tau + T

    def step(self, state: int | None, now: float, cost: float) -> int | None:
        clock = int(now * TICKS)
        after = clock if state is None or state < clock else state
        after += self._one if cost == 1 else int(cost * self._every)
        return after if after - clock <= self._window else None

    def granted(self, after: int, now: float, cost: float) -> Decision:
        used = (after - int(now * TICKS)) / TICKS
        return new_tuple(Decision, (True, self.burst, self.burst - used * self.rate, 0.0, used, 0.0))

    def denied(self, before: int | None, now: float, cost: float) -> Decision:
        used = max(0, before - int(now * TICKS)) / TICKS if before else 0.0
        wait = used + (cost - self.burst) / self.rate
        return new_tuple(Decision, (False, self.burst, self.burst - used * self.rate, wait, used, 0.0))

    def over(self, state: int, now: float) -> bool:
        return state <= now * TICKS


class NginxLimit(Limiter[tuple[int, int]]):
    """nginx's limit_req: a leaky bucket that counts in thousandths of a request and in milliseconds.

    Up to `burst` requests above the rate are admitted: the first `delay` of them at once, the others delayed
    to the rate. A `delay` of `burst` is `nodelay`. With burst=k and nodelay exactly k + 1 are admitted at
    once. A state is (excess, milliseconds). Milliseconds are cut, not rounded: with burst=0 a request that
    comes after 333 of 333.3 ms is denied. (ngx_http_limit_req_module.c.)
    """

    limit_name = "burst and one"

    def __init__(self, rate: float, burst: int = 0, delay: int | None = None) -> None:
        """`delay` None is nodelay."""
        positive(rate=rate)
        whole(0, burst=burst)
        if delay is not None:
            whole(0, delay=delay)
        self.rate, self.burst = float(rate), burst
        self.limit = self.burst + 1.0
        self.delay = self.burst if delay is None else delay
        self._rate, self._max_excess = int(rate * 1000), self.burst * 1000
        if not self._rate:
            raise ValueError(f"rate is {rate}: use at least 0.001, as nginx counts in thousandths a second")

    def step(self, state: tuple[int, int] | None, now: float, cost: float) -> tuple[int, int] | None:
        clock, excess = int((now + TOLERANCE) * 1000), int(cost * 1000)
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
        clock, rate = int((now + TOLERANCE) * 1000), self._rate
        full, since = before or (-1000, clock)
        excess = full - rate * (clock - since) // 1000
        # The first millisecond in which enough has leaked: -(-a // b) is a / b, rounded up.
        leaked = full + int(cost * 1000) - self._max_excess
        retry = (since - (-leaked * 1000 // rate)) / 1000 - now
        left = max(0.0, (self._max_excess - excess) / 1000)
        return new_tuple(Decision, (False, self.limit, left, retry, max(0, excess + 1000) / rate, 0.0))

    def over(self, state: tuple[int, int], now: float) -> bool:
        return state[0] + 1000 <= self._rate * (int(now * 1000) - state[1]) // 1000

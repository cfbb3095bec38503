"""Buckets: a rate in the long run, and a burst at once. Token bucket, leaky bucket, GCRA, limit_req."""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from lbkit.core.limit.base import TINY, TOLERANCE, Decision, Limiter, State, new_tuple, positive
from lbkit.core.options import Number, Whole, whole

TICKS: Final = 10**12  # a second, where a state is a moment: whole numbers add up without drifting
EARLY: Final = int(TOLERANCE * TICKS)

Pair = tuple[float, float]


@mypyc_attr(allow_interpreted_subclasses=True)
class TokenBucket(Limiter):
    """A bucket of up to `burst` tokens; `rate` arrive a second, a request takes one for each unit of cost.

    In every interval of t seconds at most burst + rate x t is admitted. A state is (tokens, when).
    (Traefik, Envoy, AWS; Tanenbaum, Computer Networks.)
    """

    limit_name = "burst"

    def __init__(self, rate: Number, burst: Number = 1.0) -> None:
        positive(rate=rate, burst=burst)
        self.rate = float(rate)
        self.burst = self.limit = float(burst)
        self._debt = -TINY - TOLERANCE * self.rate  # tokens of a request that is early

    def step(self, state: State, now: float, cost: float) -> State:
        if state is None:
            left = self.burst - cost
        else:
            pair: Pair = state
            tokens, since = pair
            tokens += (now - since) * self.rate
            left = (tokens if tokens < self.burst else self.burst) - cost
        return (left, now) if left >= self._debt else None

    def granted(self, after: State, now: float, cost: float) -> Decision:
        pair: Pair = after
        left, burst = pair[0], self.burst
        return new_tuple(Decision, (True, burst, left, 0.0, (burst - left) / self.rate, 0.0))

    def denied(self, before: State, now: float, cost: float) -> Decision:
        burst, rate = self.burst, self.rate
        tokens = burst
        if before is not None:
            pair: Pair = before
            tokens = min(pair[0] + (now - pair[1]) * rate, burst)
        return new_tuple(
            Decision, (False, burst, tokens, (cost - tokens) / rate, (burst - tokens) / rate, 0.0)
        )

    def over(self, state: State, now: float) -> bool:
        pair: Pair = state
        return pair[0] + (now - pair[1]) * self.rate >= self.burst


@mypyc_attr(allow_interpreted_subclasses=True)
class LeakyBucket(Limiter):
    """The leaky bucket as a meter: a request adds its cost, `rate` a second leaks out.

    A request that would overflow it is rejected. The token bucket seen from the other side: its level is the
    number of tokens missing there. A state is
    (level, when). (Turner, IEEE Communications Magazine 24(10), 1986.)
    """

    limit_name = "capacity"

    def __init__(self, rate: Number, capacity: Number = 1.0) -> None:
        positive(rate=rate, capacity=capacity)
        self.rate = float(rate)
        self.capacity = self.limit = float(capacity)
        self._highest = self.capacity + TINY + TOLERANCE * self.rate  # level with a request that is early

    def step(self, state: State, now: float, cost: float) -> State:
        if state is None:
            level = cost
        else:
            pair: Pair = state
            level, since = pair
            level -= (now - since) * self.rate
            level = (level if level > 0.0 else 0.0) + cost
        return (level, now) if level <= self._highest else None

    def granted(self, after: State, now: float, cost: float) -> Decision:
        pair: Pair = after
        level, capacity = pair[0], self.capacity
        return new_tuple(Decision, (True, capacity, capacity - level, 0.0, level / self.rate, 0.0))

    def denied(self, before: State, now: float, cost: float) -> Decision:
        capacity, rate = self.capacity, self.rate
        level = 0.0
        if before is not None:
            pair: Pair = before
            level = max(pair[0] - (now - pair[1]) * rate, 0.0)
        wait = (level + cost - capacity) / rate
        return new_tuple(Decision, (False, capacity, capacity - level, wait, level / rate, 0.0))

    def over(self, state: State, now: float) -> bool:
        pair: Pair = state
        return pair[0] - (now - pair[1]) * self.rate <= 0


@mypyc_attr(allow_interpreted_subclasses=True)
class LeakyQueue(Limiter):
    """The leaky bucket as a queue: requests leave evenly spaced at `rate` a second, up to `capacity` wait.

    An admitted request is delayed until its turn. A state is the moment at which the queue is empty again,
    in picoseconds.
    """

    limit_name = "capacity"

    def __init__(self, rate: Number, capacity: Number = 10.0) -> None:
        positive(rate=rate, capacity=capacity)
        self.rate = float(rate)
        self.capacity = self.limit = float(capacity)
        self._every = TICKS / self.rate
        self._one = int(self._every)  # ticks of a request
        self._window = int(self.capacity * self._every) + EARLY  # ticks to empty a full queue

    def step(self, state: State, now: float, cost: float) -> State:
        clock = int(now * TICKS)
        empty: int = clock if state is None else state
        if empty < clock:
            empty = clock
        empty += self._one if cost == 1 else int(cost * self._every)
        return empty if empty - clock <= self._window else None

    def granted(self, after: State, now: float, cost: float) -> Decision:
        empty: int = after
        queue = (empty - int(now * TICKS)) / TICKS
        wait = queue - cost / self.rate
        delay = wait if wait > TINY else 0.0
        return new_tuple(
            Decision, (True, self.capacity, self.capacity - queue * self.rate, 0.0, queue, delay)
        )

    def denied(self, before: State, now: float, cost: float) -> Decision:
        rate, capacity = self.rate, self.capacity
        queue = 0.0
        if before is not None:
            empty: int = before
            queue = max(0, empty - int(now * TICKS)) / TICKS
        retry = queue + (cost - capacity) / rate
        return new_tuple(Decision, (False, capacity, capacity - queue * rate, retry, queue, 0.0))

    def over(self, state: State, now: float) -> bool:
        return bool(state <= now * TICKS)


@mypyc_attr(allow_interpreted_subclasses=True)
class GCRA(Limiter):
    """The token bucket as one number a key: the theoretical arrival time of the next request.

    At the rate, requests arrive every T = 1/rate. A request may arrive early by up to (burst - 1) x T.
    Decides exactly as the token bucket. A state is a moment in picoseconds, a whole number: a float since
    1970 would lose a tenth of a microsecond at each addition. (ATM Forum, Traffic Management 4.0, 1996:
    generic cell rate algorithm, virtual scheduling.)
    """

    name = "gcra"
    limit_name = "burst"

    def __init__(self, rate: Number, burst: Number = 1.0) -> None:
        positive(rate=rate, burst=burst)
        self.rate = float(rate)
        self.burst = self.limit = float(burst)
        self._every = TICKS / self.rate  # T
        self._one = int(self._every)
        self._window = int(self.burst * self._every) + EARLY  # tau + T

    def step(self, state: State, now: float, cost: float) -> State:
        clock = int(now * TICKS)
        after: int = clock if state is None else state
        if after < clock:
            after = clock
        after += self._one if cost == 1 else int(cost * self._every)
        return after if after - clock <= self._window else None

    def granted(self, after: State, now: float, cost: float) -> Decision:
        next_one: int = after
        used = (next_one - int(now * TICKS)) / TICKS
        return new_tuple(Decision, (True, self.burst, self.burst - used * self.rate, 0.0, used, 0.0))

    def denied(self, before: State, now: float, cost: float) -> Decision:
        used = 0.0
        if before is not None:
            next_one: int = before
            used = max(0, next_one - int(now * TICKS)) / TICKS
        wait = used + (cost - self.burst) / self.rate
        return new_tuple(Decision, (False, self.burst, self.burst - used * self.rate, wait, used, 0.0))

    def over(self, state: State, now: float) -> bool:
        return bool(state <= now * TICKS)


@mypyc_attr(allow_interpreted_subclasses=True)
class NginxLimit(Limiter):
    """nginx's limit_req: a leaky bucket that counts in thousandths of a request and in milliseconds.

    Up to `burst` requests above the rate are admitted: the first `delay` of them at once, the others delayed
    to the rate. A `delay` of `burst` is `nodelay`. With burst=k and nodelay exactly k + 1 are admitted at
    once. A state is (excess, milliseconds). Milliseconds are cut, not rounded: with burst=0 a request that
    comes after 333 of 333.3 ms is denied. (ngx_http_limit_req_module.c.)
    """

    limit_name = "burst and one"

    def __init__(self, rate: Number, burst: Whole = 0, delay: Whole | None = None) -> None:
        """`delay` None is nodelay."""
        positive(rate=rate)
        whole(0, burst=burst)
        if delay is not None:
            whole(0, delay=delay)
        self.rate, self.burst = float(rate), int(burst)
        self.limit = self.burst + 1.0
        self.delay = self.burst if delay is None else int(delay)
        self._rate, self._max_excess = int(rate * 1000), self.burst * 1000
        if not self._rate:
            raise ValueError(f"rate is {rate}: use at least 0.001, as nginx counts in thousandths a second")

    def step(self, state: State, now: float, cost: float) -> State:
        clock, excess = int((now + TOLERANCE) * 1000), int(cost * 1000)
        if state is None:
            excess -= 1000  # the first is free
        else:
            counted: tuple[int, int] = state
            excess += counted[0] - self._rate * (clock - counted[1]) // 1000
        if excess < 0:
            excess = 0
        return (excess, clock) if excess <= self._max_excess else None

    def granted(self, after: State, now: float, cost: float) -> Decision:
        counted: tuple[int, int] = after
        excess, rate = counted[0], self._rate
        wait = max(0, excess - self.delay * 1000) / rate
        left = (self._max_excess - excess) / 1000
        return new_tuple(Decision, (True, self.limit, left, 0.0, (excess + 1000) / rate, wait))

    def denied(self, before: State, now: float, cost: float) -> Decision:
        clock, rate = int((now + TOLERANCE) * 1000), self._rate
        counted: tuple[int, int] = before or (-1000, clock)
        full, since = counted
        excess = full - rate * (clock - since) // 1000
        # The first millisecond in which enough has leaked: -(-a // b) is a / b, rounded up.
        leaked = full + int(cost * 1000) - self._max_excess
        retry = (since - (-leaked * 1000 // rate)) / 1000 - now
        left = max(0.0, (self._max_excess - excess) / 1000)
        return new_tuple(Decision, (False, self.limit, left, retry, max(0, excess + 1000) / rate, 0.0))

    def over(self, state: State, now: float) -> bool:
        return bool(state[0] + 1000 <= self._rate * (int(now * 1000) - state[1]) // 1000)

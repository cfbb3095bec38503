"""Buckets: a rate in the long run, and a burst at once."""

from __future__ import annotations

from lbkit.core.limit.base import TINY, Decision, Limiter, fits, positive

_new = tuple.__new__  # a Decision without the detour through its keywords: this is what a decision costs


class TokenBucket(Limiter[tuple[float, float]]):
    """Holds up to `burst` tokens, gets `rate` a second, and a request takes one for each unit of its cost.

    On every interval of t seconds at most burst + rate x t is admitted. A state is (tokens, when).
    (Traefik, Envoy, AWS; Tanenbaum, Computer Networks.)
    """

    def __init__(self, rate: float, burst: float = 1.0) -> None:
        positive(rate=rate, burst=burst)
        self.rate, self.burst = float(rate), float(burst)

    def step(
        self, state: tuple[float, float] | None, now: float, cost: float
    ) -> tuple[Decision, tuple[float, float] | None]:
        tokens = burst = self.burst
        if state is not None:
            tokens, since = state
            tokens += (now - since) * self.rate
            if tokens > burst:
                tokens = burst
        left = tokens - cost
        if left >= -TINY and cost >= 0:
            return _new(Decision, (True, burst, left, 0.0, (burst - left) / self.rate, 0.0)), (left, now)
        fits(cost, burst, "burst")
        rate = self.rate
        return _new(Decision, (False, burst, tokens, -left / rate, (burst - tokens) / rate, 0.0)), None

    def over(self, state: tuple[float, float], now: float) -> bool:
        return state[0] + (now - state[1]) * self.rate >= self.burst


class LeakyBucket(Limiter[tuple[float, float]]):
    """As a meter: every request pours its cost in, `rate` a second leaks out, and it must not run over.

    The token bucket seen from the other side: what is in there is what is missing there. A state is
    (level, when). (Turner, IEEE Communications Magazine 24(10), 1986.)
    """

    def __init__(self, rate: float, capacity: float = 1.0) -> None:
        positive(rate=rate, capacity=capacity)
        self.rate, self.capacity = float(rate), float(capacity)

    def step(
        self, state: tuple[float, float] | None, now: float, cost: float
    ) -> tuple[Decision, tuple[float, float] | None]:
        capacity, rate = self.capacity, self.rate
        level = 0.0
        if state is not None:
            level = state[0] - (now - state[1]) * rate
            if level < 0.0:
                level = 0.0
        after = level + cost
        if after <= capacity + TINY and cost >= 0:
            return _new(Decision, (True, capacity, capacity - after, 0.0, after / rate, 0.0)), (after, now)
        fits(cost, capacity, "capacity")
        wait = (after - capacity) / rate
        return _new(Decision, (False, capacity, capacity - level, wait, level / rate, 0.0)), None

    def over(self, state: tuple[float, float], now: float) -> bool:
        return state[0] - (now - state[1]) * self.rate <= 0


class LeakyQueue(Limiter[float]):
    """As a queue: requests leave one after the other at `rate` a second, and up to `capacity` wait for it.

    What is admitted is delayed, and comes out evenly spaced. A state is the moment at which the queue is
    empty again.
    """

    def __init__(self, rate: float, capacity: float = 10.0) -> None:
        positive(rate=rate, capacity=capacity)
        self.rate, self.capacity = float(rate), float(capacity)

    def step(self, state: float | None, now: float, cost: float) -> tuple[Decision, float | None]:
        rate, capacity = self.rate, self.capacity
        wait = 0.0 if state is None or state < now else state - now
        waiting = wait * rate
        if waiting + cost <= capacity + TINY and cost >= 0:
            free = now + wait + cost / rate
            left = capacity - waiting - cost
            return _new(Decision, (True, capacity, left, 0.0, free - now, wait)), free
        fits(cost, capacity, "capacity")
        retry = (waiting + cost - capacity) / rate
        return _new(Decision, (False, capacity, capacity - waiting, retry, wait, 0.0)), None

    def over(self, state: float, now: float) -> bool:
        return state <= now


class GCRA(Limiter[float]):
    """The token bucket as one number a key: the moment at which the next request would be on time.

    Requests of a steady rate come every T = 1/rate. Whoever comes early borrows from the future, up to
    (burst - 1) x T of it. Decides exactly as the token bucket. (ATM Forum, Traffic Management 4.0, 1996:
    generic cell rate algorithm, virtual scheduling.)
    """

    name = "gcra"

    def __init__(self, rate: float, burst: float = 1.0) -> None:
        positive(rate=rate, burst=burst)
        self.rate, self.burst = float(rate), float(burst)
        self.every = 1 / self.rate  # T
        self.window = self.burst / self.rate  # tau + T

    def step(self, state: float | None, now: float, cost: float) -> tuple[Decision, float | None]:
        on_time = now if state is None or state < now else state
        after = on_time + cost * self.every
        early = after - now - self.window
        if early <= TINY and cost >= 0:
            left = -early * self.rate
            return _new(Decision, (True, self.burst, left, 0.0, after - now, 0.0)), after
        fits(cost, self.burst, "burst")
        left = (self.window - (on_time - now)) * self.rate
        return _new(Decision, (False, self.burst, left, early, on_time - now, 0.0)), None

    def over(self, state: float, now: float) -> bool:
        return state <= now


class NginxLimit(Limiter[tuple[int, int]]):
    """nginx's limit_req: a leaky bucket that counts in thousandths of a request and in milliseconds.

    `burst` requests more than the rate are admitted; the first `delay` of those at once, the others only when
    the rate allows. `delay` as large as `burst` is `nodelay`. With burst=k and nodelay exactly k + 1 are
    admitted at once. A state is (excess, milliseconds). (ngx_http_limit_req_module.c.)
    """

    def __init__(self, rate: float, burst: int = 0, delay: int | None = None) -> None:
        """`delay` None is nodelay."""
        positive(rate=rate)
        if burst < 0:
            raise ValueError(f"burst is {burst}: use 0 or more")
        if delay is not None and delay < 0:
            raise ValueError(f"delay is {delay}: use 0 or more, or None for nodelay")
        self.rate, self.burst = float(rate), int(burst)
        self.delay = self.burst if delay is None else int(delay)
        self._rate = int(rate * 1000)
        if not self._rate:
            raise ValueError(f"rate is {rate}: nginx counts in thousandths a second")

    def step(
        self, state: tuple[int, int] | None, now: float, cost: float
    ) -> tuple[Decision, tuple[int, int] | None]:
        fits(cost, self.burst + 1, "burst and one")
        clock, amount = int(now * 1000), int(cost * 1000)
        if state is None:
            excess = amount - 1000  # the first is free
        else:
            excess = max(0, state[0] - self._rate * max(0, clock - state[1]) // 1000 + amount)
        excess = max(0, excess)
        most = self.burst * 1000
        limit = self.burst + 1.0
        if excess > most:
            left = (most - excess + amount) / 1000
            retry = (excess - most) / self._rate
            return Decision(False, limit, max(0.0, left), retry, (excess - amount) / self._rate), None
        wait = max(0, excess - self.delay * 1000) / self._rate
        return (
            Decision(True, limit, (most - excess) / 1000, 0.0, (excess + 1000) / self._rate, wait),
            (excess, clock),
        )

    def over(self, state: tuple[int, int], now: float) -> bool:
        return state[0] + 1000 <= self._rate * (int(now * 1000) - state[1]) // 1000

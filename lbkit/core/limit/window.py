"""Windows: so many in so many seconds."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from lbkit.core.limit.base import TINY, Decision, Limiter, fits, positive

_new = tuple.__new__


class FixedWindow(Limiter[tuple[float, float]]):
    """Counts within calendar windows of `window` seconds; at each boundary it starts at 0.

    The cheapest there is, and up to twice the limit passes around a boundary: all of the old window at its
    end, all of the new at its beginning. A state is (number of the window, count).
    """

    def __init__(self, limit: float, window: float = 1.0) -> None:
        positive(limit=limit, window=window)
        self.limit, self.window = float(limit), float(window)

    def step(
        self, state: tuple[float, float] | None, now: float, cost: float
    ) -> tuple[Decision, tuple[float, float] | None]:
        number = now // self.window
        ends = (number + 1) * self.window - now
        used = cost
        if state is not None and state[0] == number:
            used += state[1]
        left = self.limit - used
        if left >= -TINY and cost >= 0:
            return _new(Decision, (True, self.limit, left, 0.0, ends, 0.0)), (number, used)
        fits(cost, self.limit, "limit")
        return _new(Decision, (False, self.limit, left + cost, ends, ends, 0.0)), None

    def over(self, state: tuple[float, float], now: float) -> bool:
        return state[0] != now // self.window


Log = tuple[tuple[float, ...], tuple[float, ...], float]  # moments, sums of costs up to each, sum before


class SlidingLog(Limiter[Log]):
    """Remembers when each request came: exactly `limit` in any `window` seconds, and memory for as many.

    A state is what lies in the window, oldest first, with running sums of the costs: what was used is a
    difference of two sums, and whose leaving makes room is found by bisection.
    """

    def __init__(self, limit: float, window: float = 1.0) -> None:
        positive(limit=limit, window=window)
        self.limit, self.window = float(limit), float(window)

    def step(self, state: Log | None, now: float, cost: float) -> tuple[Decision, Log | None]:
        moments, sums, before = state or ((), (), 0.0)
        gone = bisect_right(moments, now - self.window)
        if gone:
            before = sums[gone - 1]
            moments, sums = moments[gone:], sums[gone:]
        total = sums[-1] if sums else before
        left = self.limit - (total - before) - cost
        if left >= -TINY and cost >= 0:
            log = ((*moments, now), (*sums, total + cost), before)
            return _new(Decision, (True, self.limit, left, 0.0, self.window, 0.0)), log
        fits(cost, self.limit, "limit")
        # The first after whose leaving there is room enough.
        leaver = moments[bisect_left(sums, before - left - TINY)]
        wait, reset = leaver + self.window - now, moments[-1] + self.window - now
        return _new(Decision, (False, self.limit, left + cost, wait, reset, 0.0)), None

    def over(self, state: Log, now: float) -> bool:
        return not state[0] or state[0][-1] <= now - self.window


class SlidingCounter(Limiter[tuple[float, float, float]]):
    """Two fixed windows, the older of which counts for as much of it as still lies within the last `window`.

    As if the requests of the older one had come evenly: 42 in it, 18 so far in this one, and a quarter of
    this one over make 42 x 3/4 + 18 = 49.5. A state is (number of the window, count before, count).
    (Cloudflare, "How we built rate limiting capable of scaling to millions of domains", 2017: 0.003 % wrong
    of 400 million decisions.)
    """

    def __init__(self, limit: float, window: float = 1.0) -> None:
        positive(limit=limit, window=window)
        self.limit, self.window = float(limit), float(window)

    def step(
        self, state: tuple[float, float, float] | None, now: float, cost: float
    ) -> tuple[Decision, tuple[float, float, float] | None]:
        window = self.window
        number = now // window
        rest = (number + 1) * window - now  # seconds of this window
        before = count = 0.0
        if state is not None:
            was, older, newer = state
            if was == number:
                before, count = older, newer
            elif was == number - 1:
                before = newer
        left = self.limit - before * rest / window - count - cost
        if left >= -TINY and cost >= 0:
            decision = _new(Decision, (True, self.limit, left, 0.0, rest + window, 0.0))
            return decision, (number, before, count + cost)
        fits(cost, self.limit, "limit")
        wait, reset = self._wait(before, count, 1 - rest / window, cost)
        return _new(Decision, (False, self.limit, left + cost, wait, reset, 0.0)), None

    def _wait(self, before: float, count: float, gone: float, cost: float) -> tuple[float, float]:
        """Until there is room for `cost`, and until all is forgotten."""
        reset = ((2 if count else 1) - gone) * self.window
        room = self.limit - cost - count
        if room >= 0 and before:
            return max(0.0, 1 - room / before - gone) * self.window, reset
        # Only in the next window, where `count` is the older one.
        need = 1 - (self.limit - cost) / count if count else 0.0
        return (1 - gone + max(0.0, need)) * self.window, reset

    def over(self, state: tuple[float, float, float], now: float) -> bool:
        return state[0] < now // self.window - 1

"""Windows: at most `limit` requests in `window` seconds."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from math import inf

from mypy_extensions import mypyc_attr

from lbkit.core.limit.base import TINY, TOLERANCE, Decision, Limiter, State, new_tuple, positive
from lbkit.core.options import Number


def end_of(now: float, window: float) -> float:
    """Return the end of the calendar window that contains `now`; always later than now."""
    number = now // window + 1
    # Always a product: two ends of one window that differ in the last digit would make a window of their own.
    return number * window if number * window > now else (number + 1) * window


@mypyc_attr(allow_interpreted_subclasses=True)
class FixedWindow(Limiter):
    """Counts within calendar windows of `window` seconds; at each boundary it starts at 0.

    The cheapest limiter, but up to twice the limit passes around a boundary: all of the old window at its
    end, all of the new one at its beginning. A state is (end of the window, count).
    """

    def __init__(self, limit: Number, window: Number = 1.0) -> None:
        positive(limit=limit, window=window)
        self.limit, self.window = float(limit), float(window)

    def step(self, state: State, now: float, cost: float) -> State:
        counted: tuple[float, float] = state or (-inf, 0.0)
        end, used = counted
        if now >= end:
            return (end_of(now, self.window), cost) if cost <= self.limit else None
        used += cost
        if used <= self.limit + TINY:
            return end, used
        # In a full window that is all but over, a request is an early one of the next.
        return (end_of(now + 2 * TOLERANCE, self.window), cost) if end - now <= TOLERANCE else None

    def granted(self, after: State, now: float, cost: float) -> Decision:
        counted: tuple[float, float] = after
        end, used = counted
        return new_tuple(Decision, (True, self.limit, self.limit - used, 0.0, end - now, 0.0))

    def denied(self, before: State, now: float, cost: float) -> Decision:
        counted: tuple[float, float] = before or (now, 0.0)
        end, used = counted
        return new_tuple(Decision, (False, self.limit, self.limit - used, end - now, end - now, 0.0))

    def over(self, state: State, now: float) -> bool:
        counted: tuple[float, float] = state
        return counted[0] <= now


# The times of requests, and the sum of costs up to each; the slice of entries that count (first, last); when
# the first of them expires, and the cost that is still admitted until then.
Log = tuple["array[float]", "array[float]", int, int, float, float]


@mypyc_attr(allow_interpreted_subclasses=True)
class SlidingLog(Limiter):
    """A log of the times of all requests: exactly `limit` in any `window` seconds, at the price of memory.

    The cost used is a difference of two sums, and the entry that must expire to make room is found by
    bisection. A state is a part of a log that only grows, so several states can share it: none reads beyond
    its own end. Going on from an older state overwrites the entries after it. A state holds the room left,
    so a denial need not look into the log.
    """

    def __init__(self, limit: Number, window: Number = 1.0) -> None:
        positive(limit=limit, window=window)
        self.limit, self.window = float(limit), float(window)
        self._window = self.window - TOLERANCE

    def step(self, state: State, now: float, cost: float) -> State:
        if state is None:
            moments, sums, first, last, until, room = array("d"), array("d"), 0, 0, inf, self.limit
        else:
            log: Log = state
            moments, sums, first, last, until, room = log
            if now >= until:
                first = bisect_right(moments, now - self._window, first, last)
                until = moments[first] + self._window if first < last else inf
                room = self.limit - (sums[last - 1] - (sums[first - 1] if first else 0.0))
        if cost > room + TINY:
            return None
        if last and not cost:
            return moments, sums, first, last, until, room  # a denial: the log does not grow
        used = sums[last - 1] if last else 0.0
        if first > 64 and 2 * first > last:  # more than half has expired: a new log
            gone = sums[first - 1]
            moments, sums = moments[first:last], array("d", [s - gone for s in sums[first:last]])
            used, first, last = used - gone, 0, last - first
        if last == len(moments):
            moments.append(now)
            sums.append(used + cost)
        else:
            moments[last], sums[last] = now, used + cost
        if first == last:
            until = now + self._window
        return moments, sums, first, last + 1, until, room - cost

    def granted(self, after: State, now: float, cost: float) -> Decision:
        return new_tuple(Decision, (True, self.limit, after[5], 0.0, self.window, 0.0))

    def denied(self, before: State, now: float, cost: float) -> Decision:
        log: Log = before or (array("d", [now]), array("d", [0.0]), 0, 1, inf, self.limit)
        moments, sums, first, last, _, _ = log
        first = bisect_right(moments, now - self._window, first, last)
        gone = sums[first - 1] if first else 0.0
        left = self.limit - (sums[last - 1] - gone)
        # The first entry that makes room enough when it expires.
        leaver = moments[bisect_left(sums, gone + cost - left - TINY, first, last)]
        wait, reset = leaver + self.window - now, moments[last - 1] + self.window - now
        return new_tuple(Decision, (False, self.limit, left, wait, reset, 0.0))

    def over(self, state: State, now: float) -> bool:
        log: Log = state
        return log[0][log[3] - 1] <= now - self._window


Counts = tuple[float, float, float]  # the end of the window, the count of the one before, its own
NEVER: Counts = (-inf, 0.0, 0.0)


@mypyc_attr(allow_interpreted_subclasses=True)
class SlidingCounter(Limiter):
    """Two fixed windows; the older one counts with the part of it that lies within the last `window` seconds.

    As if its requests had arrived evenly: 42 in the older window and 18 in this one, a quarter of which is
    over, make 42 x 3/4 + 18 = 49.5. A state is (end of the window, count before, count).
    (Cloudflare, "How we built rate limiting capable of scaling to millions of domains", 2017: 0.003 % wrong
    of 400 million decisions.) Asked at exactly its rate, it denies one request in each window, as the older
    window always counts a little; one request a window less is never denied.
    """

    def __init__(self, limit: Number, window: Number = 1.0) -> None:
        positive(limit=limit, window=window)
        self.limit, self.window = float(limit), float(window)

    def step(self, state: State, now: float, cost: float) -> State:
        counts: Counts = state or NEVER
        end, before, count = counts
        if now >= end - TOLERANCE:
            end, before, count = self._turned(end, count, now)
        count += cost
        if before * (end - now - TOLERANCE) / self.window + count <= self.limit + TINY:
            return end, before, count
        return None

    def _turned(self, end: float, count: float, now: float) -> Counts:
        """Return the state in the window of `now`, when a new one has begun."""
        begun = end_of(now + TOLERANCE, self.window)
        if end <= begun - 1.5 * self.window:  # more than one later
            return begun, 0.0, 0.0
        return begun, count, 0.0

    def granted(self, after: State, now: float, cost: float) -> Decision:
        counts: Counts = after
        end, before, count = counts
        rest = end - now
        left = self.limit - before * rest / self.window - count
        return new_tuple(Decision, (True, self.limit, left, 0.0, rest + self.window, 0.0))

    def denied(self, before: State, now: float, cost: float) -> Decision:
        counts: Counts = before or NEVER
        end, older, count = counts
        if now >= end - TOLERANCE:
            end, older, count = self._turned(end, count, now)
        rest, room = end - now, self.limit - cost - count
        left = self.limit - older * rest / self.window - count
        if room >= 0 and older:
            wait = rest - room / older * self.window
        else:  # only in the next window, where `count` is the older one
            need = 1 - (self.limit - cost) / count if count else 0.0
            wait = rest + max(0.0, need) * self.window
        reset = rest + self.window if count else rest
        return new_tuple(Decision, (False, self.limit, left, max(0.0, wait), reset, 0.0))

    def over(self, state: State, now: float) -> bool:
        counts: Counts = state
        return counts[0] + self.window <= now

"""What a limiter itself says over time: how much it would still admit, and how long the next one has to wait.

Straight lines between points, with two points where it jumps: every limiter of the kit moves like that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

from lbkit.core.limit import FixedWindow, Limiter, SlidingCounter, SlidingLog
from lbkit.viz.theatre.props.visits import Visit

EDGE = 2e-6  # seconds beside a moment, on either side: more than a limiter's tolerance
ALIKE = 1e-3  # share of the limit by which two levels at one moment may differ


class Point(NamedTuple):
    at: float
    left: float  # the cost that would still be admitted
    wait: float  # seconds until a request would be


def gauge(limiter: Limiter, visits: Sequence[Visit], start: float, end: float) -> list[Point]:
    """Return the points of a fresh `limiter` from `start` to `end`, with these visits of one key."""
    points: list[Point] = []
    admitted: deque[float] = deque()
    now = 0.0

    def go_to(then: float) -> None:
        """Look at the limiter from the last visit to the next one, or an end of the film."""
        if then >= start:
            low = max(now, start)
            turns = {round(turn, 9) for turn in _turns(limiter, admitted, now, then + EDGE)}
            for turn in sorted(turn for turn in turns if low - EDGE < turn < then + EDGE):
                points.extend(_around(limiter, turn, low, then))
            points.append(_look(limiter, then))

    begun = False
    for visit in visits:
        if visit.at > end:
            break
        if not begun and visit.at > start:
            go_to(start)
            begun = True
        go_to(visit.at)
        now = max(now, visit.at)
        if visit.allowed:
            limiter.allows("", visit.at)
            admitted.append(visit.at)
            if visit.at >= start:
                points.append(_look(limiter, visit.at))
    if not begun:
        go_to(start)
    go_to(end)
    return points


def _look(limiter: Limiter, now: float) -> Point:
    """What it says of one more request: of a limiter such as nginx's, one of cost 0 says less."""
    decision = limiter.would("", now, 1)
    left = decision.remaining + 1 if decision.allowed else decision.remaining
    return Point(now, min(limiter.limit, max(0.0, left)), 0.0 if decision.allowed else decision.retry_after)


def _around(limiter: Limiter, turn: float, low: float, high: float) -> list[Point]:
    """Return the point at a turn, or two at a jump; looks are between `low` and `high`, which may be near."""
    before, after = _look(limiter, max(low, turn - EDGE)), _look(limiter, min(high, turn + EDGE))
    jumps = abs(before.left - after.left) > ALIKE * limiter.limit
    turn = min(high, max(low, turn))
    return [before._replace(at=turn), after._replace(at=turn)] if jumps else [after._replace(at=turn)]


def _turns(limiter: Limiter, admitted: deque[float], now: float, then: float) -> Iterator[float]:
    """Yield the moments from `now` to `then` at which its lines turn; nothing comes in between."""
    yield now + limiter.would("", now, 1).retry_after
    yield now + limiter.would("", now, 0).reset_after
    if isinstance(limiter, FixedWindow | SlidingCounter):
        yield (now // limiter.window + 1) * limiter.window
    if isinstance(limiter, SlidingLog):
        while admitted and admitted[0] + limiter.window <= now:
            admitted.popleft()
        yield from takewhile(lambda turn: turn < then, (at + limiter.window for at in admitted))

"""How much goes on at once and how fast, who waits for that, and who is turned away.

Pure: nothing waits in here. Whoever uses a Gate asks `next` who goes on whenever somebody has come or left,
and at `wake_at`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from math import inf
from typing import Any, NamedTuple

from lbkit.core.limit import InFlight
from lbkit.core.shape import Item, Queue, Shaper

CLASSES = ("high", "normal", "low")  # of priority


class Refusal(Enum):
    """Why somebody is turned away."""

    SHED = "shed"  # what its class may fill is full
    FULL = "full"  # as many wait as may
    LATE = "late"  # it has waited too long


class Refused(NamedTuple):
    item: Item
    why: Refusal


class Gate:
    """`limiter`: how many at once, and what part of that each class of priority may fill; None: any number.

    `rate`: how many a second, `burst` at once. `max_queue` wait in `queue`, each for `timeout` seconds.
    """

    def __init__(
        self,
        queue: Queue,
        limiter: InFlight[Any] | None = None,
        rate: float = inf,
        burst: float = 1.0,
        max_queue: int = 100,
        timeout: float = 1.0,
    ) -> None:
        self.limiter = limiter
        self.max_queue, self.timeout = max_queue, timeout
        self.shaper = Shaper(rate, burst, queue, max(1, max_queue))
        self.refused = dict.fromkeys(Refusal, 0)

    def state(self) -> Mapping[str, float]:
        """What runs and waits, the limit as it is now, and how many were refused, by reason."""
        limiter = self.limiter
        # Not "if limiter": one that knows nobody yet is empty.
        running, limit = (0.0, inf) if limiter is None else (limiter.running(""), limiter.limit_of(""))
        counts = {why.value: count for why, count in self.refused.items()}
        return {"running": running, "limit": limit, "waiting": len(self.shaper), **counts}

    def enter(self, item: Item, now: float) -> Refused | None:
        """Who has no place now: the newcomer, or somebody who waited, if the queue says so."""
        if self._sheds(item):
            return self._refuse(item, Refusal.SHED)
        waits = len(self.shaper) or not self._free() or self.shaper.when(item.cost, now) > now
        if waits and not self.max_queue:
            return self._refuse(item, Refusal.FULL)
        out = self.shaper.put(item)
        return None if out is None else self._refuse(out, Refusal.FULL)

    def next(self, now: float) -> Item | Refused | None:
        """Who goes on now, to be given back with `done`; or leaves, as its share has filled meanwhile."""
        ready = self.shaper.ready_at(now)
        if ready is None or ready > now:
            return None
        item = self.shaper.queue.peek(now)
        assert item, "it is ready"
        if self._sheds(item):
            self.shaper.queue.discard(item)
            return self._refuse(item, Refusal.SHED)
        if self.limiter is not None and not self.limiter.allows("", now):
            return None
        return self.shaper.take(now)

    def wake_at(self, now: float) -> float | None:
        """When to ask again though nobody has left: then the rate allows one more."""
        ready = self.shaper.ready_at(now)
        return ready if ready is not None and ready > now else None

    def done(self, now: float, latency: float, ok: bool | None) -> None:
        """Somebody who went on is over, `latency` seconds later; `ok` None: that says nothing."""
        if self.limiter is not None:
            self.limiter.done("", now, latency, ok)

    def leave(self, item: Item) -> None:
        """It waits no longer. Raises KeyError or ValueError if it did not wait."""
        self.shaper.queue.discard(item)

    def late(self, item: Item) -> Refused:
        """It has waited for `timeout`. Raises as `leave`."""
        self.leave(item)
        return self._refuse(item, Refusal.LATE)

    def _sheds(self, item: Item) -> bool:
        return self.limiter is not None and self.limiter.sheds("", item.priority)

    def _free(self) -> bool:
        return self.limiter is None or self.limiter.running("") + 1 <= self.limiter.limit_of("")

    def _refuse(self, item: Item, why: Refusal) -> Refused:
        self.refused[why] += 1
        return Refused(item, why)

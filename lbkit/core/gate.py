"""Admission: how many requests run at once and how many start a second; the others wait or are rejected.

Pure: nothing waits in here. The user of a Gate calls `next` for the next request to run whenever a request
has come or ended, and at `wake_at`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from math import inf
from typing import NamedTuple

from lbkit.core.limit import InFlight
from lbkit.core.queues import Item, Queue
from lbkit.core.shape import Shaper
from lbkit.core.shedding import AdmissionControl

CLASSES = ("high", "normal", "low")  # of priority


class Refusal(Enum):
    """The reason of a rejection."""

    SHED = "shed"  # the share of its priority class is full
    FULL = "full"  # the queue is full
    LATE = "late"  # it has waited for longer than the timeout
    DELAYED = "delayed"  # all wait too long, and one has to go (CoDel)
    FAILING = "failing"  # too many requests fail


class Refused(NamedTuple):
    item: Item
    why: Refusal


class Gate:
    """Admission control: requests enter, wait in a queue if they must, and go on or are rejected.

    `limiter`: how many run at once, and the share of that for each priority class; None: any number.
    `rate`: how many start a second, `burst` at once. Up to `max_queue` wait in `queue`, each for `timeout`
    seconds. `control` rejects a share of them while many fail.
    """

    def __init__(
        self,
        queue: Queue,
        limiter: InFlight | None = None,
        rate: float = inf,
        burst: float = 1.0,
        max_queue: int = 100,
        timeout: float = 1.0,
        control: AdmissionControl | None = None,
    ) -> None:
        self.limiter = limiter
        self.control = control
        self._overdue: Callable[[float], Item | None] | None = getattr(queue, "overdue", None)
        self.max_queue, self.timeout = max_queue, timeout
        self.shaper = Shaper(rate, burst, queue, max(1, max_queue))
        self.refused = dict.fromkeys(Refusal, 0)

    def state(self) -> Mapping[str, float]:
        """Return the requests running and waiting, the limit now, and the rejections by reason."""
        limiter = self.limiter
        # Not "if limiter": a limiter without keys is empty, which is false.
        running, limit = (0.0, inf) if limiter is None else (limiter.running(""), limiter.limit_of(""))
        counts = {why.value: count for why, count in self.refused.items()}
        return {"running": running, "limit": limit, "waiting": len(self.shaper), **counts}

    def enter(self, item: Item, now: float) -> Refused | None:
        """Queue a new request; return the rejected one, if any: this one, or one that waited."""
        if self._sheds(item):
            return self._refuse(item, Refusal.SHED)
        if self.control is not None and not self.control.admits(now):
            return self._refuse(item, Refusal.FAILING)
        waits = len(self.shaper) or not self._free() or self.shaper.when(item.cost, now) > now
        if waits and not self.max_queue:
            return self._refuse(item, Refusal.FULL)
        out = self.shaper.put(item)
        return None if out is None else self._refuse(out, Refusal.FULL)

    def next(self, now: float) -> Item | Refused | None:
        """Return the next request to run, which needs a `done` later; or one to reject: its share is full."""
        ready = self.shaper.ready_at(now)
        if ready is None or ready > now:
            return None
        if self._overdue is not None and self._free() and (late := self._overdue(now)):
            return self._refuse(late, Refusal.DELAYED)
        item = self.shaper.queue.peek(now)
        assert item, "it is ready"
        if self._sheds(item):
            self.shaper.queue.discard(item)
            return self._refuse(item, Refusal.SHED)
        if self.limiter is not None and not self.limiter.allows("", now):
            return None
        return self.shaper.take(now)

    def wake_at(self, now: float) -> float | None:
        """Return when the rate allows one more, so that `next` should be called again; None if never."""
        ready = self.shaper.ready_at(now)
        return ready if ready is not None and ready > now else None

    def done(self, now: float, latency: float, ok: bool | None) -> None:
        """A request that ran has ended after `latency` seconds; with `ok` None nothing is learned from it."""
        if self.control is not None and ok is not None:
            self.control.ended(ok, now)
        if self.limiter is not None:
            self.limiter.done("", now, latency, ok)

    def leave(self, item: Item) -> None:
        """Take a request out of the queue. Raises KeyError or ValueError if it did not wait."""
        self.shaper.queue.discard(item)

    def late(self, item: Item) -> Refused:
        """Reject a request that has waited for `timeout`. Raises as `leave`."""
        self.leave(item)
        return self._refuse(item, Refusal.LATE)

    def _sheds(self, item: Item) -> bool:
        return self.limiter is not None and self.limiter.sheds("", item.priority)

    def _free(self) -> bool:
        return self.limiter is None or self.limiter.running("") + 1 <= self.limiter.limit_of("")

    def _refuse(self, item: Item, why: Refusal) -> Refused:
        self.refused[why] += 1
        return Refused(item, why)

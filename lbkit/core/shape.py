"""Traffic shaping: requests above a rate wait in a queue, which releases them at the rate.

Pure: nothing waits in here. `ready_at` returns when the next request may go, and `take` returns it then.
"""

from __future__ import annotations

from typing import Any

from lbkit.core.limit.base import TINY, TOLERANCE, fits, positive
from lbkit.core.options import number, whole
from lbkit.core.queues import Fifo, Item, Queue


class Shaper:
    """A queue that releases `rate` of cost a second, `burst` at once, and holds up to `max_queue` items.

    With a rate of inf there is no pace: waiting items may go at once. When it is full, the queue decides
    which item is evicted.
    """

    def __init__(
        self,
        rate: float,
        burst: float = 1.0,
        queue: Queue | None = None,
        max_queue: int = 1000,
    ) -> None:
        positive(burst=burst)
        whole(1, max_queue=max_queue)
        number(0, above=True, infinite=True, rate=rate)  # inf is no pace
        self.rate, self.burst, self.max_queue = rate, burst, max_queue
        self.queue: Queue = queue if queue is not None else Fifo()
        self._tokens, self._since = burst, float("-inf")

    def offer(self, what: Any, now: float, key: str = "", cost: float = 1.0, priority: str = "") -> Any:
        """Queue `what`; return what is evicted for it: `what` itself, one that waited, or None.

        Raises ValueError for a cost above the burst."""
        out = self.put(Item(what, key, cost, priority, now))
        return None if out is None else out.what

    def put(self, item: Item) -> Item | None:
        """As `offer`, with an Item, which `queue.discard` can remove again."""
        fits(item.cost, self.burst, "burst")
        out = None
        if len(self.queue) >= self.max_queue:
            out = self.queue.evict(item)
            if out is None:
                return item
        self.queue.push(item)
        return out

    def _tokens_at(self, now: float) -> float:
        if self.rate == float("inf"):
            return self.burst
        if now <= self._since:
            return self._tokens
        return min(self.burst, self._tokens + (now - self._since) * self.rate)

    def when(self, cost: float, now: float) -> float:
        """Return when `cost` may go if nothing else waits: now or later."""
        lacking = cost - self._tokens_at(now)
        return now if lacking <= TINY + TOLERANCE * self.rate else now + lacking / self.rate

    def ready_at(self, now: float) -> float | None:
        """Return when the next item may go: now or later; None if none waits."""
        head = self.queue.peek(now)
        return None if head is None else self.when(head.cost, now)

    def take(self, now: float) -> Item | None:
        """Remove and return the next item, if it may go now."""
        ready = self.ready_at(now)
        if ready is None or ready > now:
            return None
        tokens = self._tokens_at(now)
        item = self.queue.pop(now)
        self._tokens, self._since = tokens - item.cost, max(now, self._since)
        return item

    def __len__(self) -> int:
        return len(self.queue)

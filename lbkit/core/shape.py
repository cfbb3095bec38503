"""Traffic shaping: queues that hold what comes too fast and let it out at a rate, in an order of their own.

Pure: nothing waits in here. Whoever uses a Shaper asks when the next one may go (`ready_at`), and takes it
then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from lbkit.core.limit.base import TINY, fits, positive


class Item(NamedTuple):
    """What waits."""

    what: Any
    key: str  # whose it is: a client
    cost: float
    priority: str
    since: float  # when it came


class Queue(Protocol):
    """An order in which items leave."""

    def push(self, item: Item) -> None: ...
    def peek(self, now: float) -> Item | None:
        """Who would leave next; changes nothing that others would notice."""

    def pop(self, now: float) -> Item: ...
    def remove(self, gone: Callable[[Item], bool]) -> list[Item]: ...
    def __len__(self) -> int: ...


class Fifo:
    """First come, first served: one who sends much makes all others wait."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()

    def push(self, item: Item) -> None:
        self._items.append(item)

    def peek(self, now: float) -> Item | None:
        return self._items[0] if self._items else None

    def pop(self, now: float) -> Item:
        return self._items.popleft()

    def remove(self, gone: Callable[[Item], bool]) -> list[Item]:
        removed = [item for item in self._items if gone(item)]
        self._items = deque(item for item in self._items if not gone(item))
        return removed

    def __len__(self) -> int:
        return len(self._items)


class FairQueue:
    """Deficit round robin: each key in turn may send a `quantum` of cost; what it does not use it keeps.

    However much somebody sends, two who always have something waiting get the same, to within a quantum and
    one request. O(1) while no cost is above the quantum. (Shreedhar and Varghese, SIGCOMM 1995.)
    """

    def __init__(self, quantum: float = 1.0) -> None:
        positive(quantum=quantum)
        self.quantum = quantum
        self._waiting: dict[str, deque[Item]] = {}
        self._turns: deque[str] = deque()  # keys that have something waiting
        self._deficit: dict[str, float] = {}
        self._length = 0

    def push(self, item: Item) -> None:
        mine = self._waiting.get(item.key)
        if mine is None:
            mine = self._waiting[item.key] = deque()
            self._deficit[item.key] = 0.0
            self._turns.append(item.key)
            if len(self._turns) == 1:
                self._deficit[item.key] = self.quantum  # its turn begins
        mine.append(item)
        self._length += 1

    def peek(self, now: float) -> Item | None:
        if not self._turns:
            return None
        while True:
            key = self._turns[0]
            head = self._waiting[key][0]
            if head.cost <= self._deficit[key] + TINY:
                return head
            # Its turn is over: the next one's begins.
            self._turns.rotate(-1)
            self._deficit[self._turns[0]] += self.quantum

    def pop(self, now: float) -> Item:
        item = self.peek(now)
        assert item, "nobody waits"
        self._deficit[item.key] -= item.cost
        self._waiting[item.key].popleft()
        self._length -= 1
        self._leave_if_done(item.key)
        return item

    def _leave_if_done(self, key: str) -> None:
        """Who has nothing waiting keeps no credit."""
        if not self._waiting[key]:
            first = self._turns[0] == key
            self._turns.remove(key) if not first else self._turns.popleft()
            del self._waiting[key], self._deficit[key]
            if first and self._turns:
                self._deficit[self._turns[0]] += self.quantum

    def remove(self, gone: Callable[[Item], bool]) -> list[Item]:
        removed: list[Item] = []
        for key, mine in list(self._waiting.items()):
            lost = [item for item in mine if gone(item)]
            if lost:
                removed += lost
                self._waiting[key] = deque(item for item in mine if not gone(item))
                self._length -= len(lost)
                self._leave_if_done(key)
        return removed

    def __len__(self) -> int:
        return self._length


class PriorityQueue:
    """The highest class first; but who has waited for `patience` seconds goes before everybody.

    So a low class waits no longer than that once it is at the head of its class and the others keep the line
    busy. `classes`: names from high to low; an unknown one counts as the lowest. Within a class by `inner`,
    first come first served unless told otherwise.
    """

    def __init__(
        self,
        classes: Sequence[str] = ("high", "normal", "low"),
        patience: float = 5.0,
        inner: Callable[[], Queue] = Fifo,
    ) -> None:
        positive(patience=patience)
        if not classes:
            raise ValueError("classes: there must be at least one")
        self.classes, self.patience = tuple(classes), patience
        self._queues: dict[str, Queue] = {name: inner() for name in self.classes}

    def push(self, item: Item) -> None:
        self._queues.get(item.priority, self._queues[self.classes[-1]]).push(item)

    def _heads(self, now: float) -> Iterator[tuple[Item, Queue]]:
        for queue in self._queues.values():
            if head := queue.peek(now):
                yield head, queue

    def _next(self, now: float) -> tuple[Item, Queue] | None:
        heads = list(self._heads(now))
        late = [entry for entry in heads if now - entry[0].since >= self.patience]
        if late:
            return min(late, key=lambda entry: entry[0].since)
        return heads[0] if heads else None

    def peek(self, now: float) -> Item | None:
        entry = self._next(now)
        return entry[0] if entry else None

    def pop(self, now: float) -> Item:
        entry = self._next(now)
        assert entry, "nobody waits"
        return entry[1].pop(now)

    def remove(self, gone: Callable[[Item], bool]) -> list[Item]:
        return [item for queue in self._queues.values() for item in queue.remove(gone)]

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())


QUEUES: Mapping[str, Callable[[], Queue]] = {"fifo": Fifo, "fair": FairQueue, "priority": PriorityQueue}


class Shaper:
    """Lets out `rate` of cost a second, `burst` at once; holds up to `most` items for `timeout` seconds each.

    What comes when it is full is refused; what has waited too long comes back from `expired`, to be told so.
    """

    def __init__(
        self,
        rate: float,
        burst: float = 1.0,
        queue: Queue | None = None,
        most: int = 1000,
        timeout: float = 10.0,
    ) -> None:
        positive(rate=rate, burst=burst, most=most, timeout=timeout)
        self.rate, self.burst, self.most, self.timeout = rate, burst, most, timeout
        self.queue: Queue = queue if queue is not None else Fifo()
        self._tokens, self._since = burst, float("-inf")

    def offer(self, what: Any, now: float, key: str = "", cost: float = 1.0, priority: str = "") -> bool:
        """Whether there was a place for it. Raises ValueError for a cost above the burst."""
        fits(cost, self.burst, "burst")
        if len(self.queue) >= self.most:
            return False
        self.queue.push(Item(what, key, cost, priority, now))
        return True

    def _tokens_at(self, now: float) -> float:
        if now <= self._since:
            return self._tokens
        return min(self.burst, self._tokens + (now - self._since) * self.rate)

    def ready_at(self, now: float) -> float | None:
        """When the next one may go: now or later; None if nobody waits."""
        head = self.queue.peek(now)
        if head is None:
            return None
        lacking = head.cost - self._tokens_at(now)
        return now if lacking <= TINY else now + lacking / self.rate

    def take(self, now: float) -> Item | None:
        """The next one, if it may go now."""
        ready = self.ready_at(now)
        if ready is None or ready > now:
            return None
        tokens = self._tokens_at(now)
        item = self.queue.pop(now)
        self._tokens, self._since = tokens - item.cost, max(now, self._since)
        return item

    def expired(self, now: float) -> list[Item]:
        """Those who have waited too long; they are in the queue no more."""
        return self.queue.remove(lambda item: now - item.since >= self.timeout)

    def __len__(self) -> int:
        return len(self.queue)

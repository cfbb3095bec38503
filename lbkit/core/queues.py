"""Queue disciplines: the orders in which waiting requests leave, and which one makes room when it is full."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Any, NamedTuple, Protocol

from lbkit.core.limit.base import TINY, positive
from lbkit.core.options import number, whole

MIN_QUANTUM = 0.001  # a request of cost 1 waits for 1 / quantum turns, one after the other


class Item(NamedTuple):
    """A request that waits, under any handle (`what`)."""

    what: Any
    key: str  # the client, or another key
    cost: float
    priority: str
    since: float  # when it entered, in seconds


class Queue(Protocol):
    """An order in which items leave."""

    def push(self, item: Item) -> None: ...
    def peek(self, now: float) -> Item | None:
        """Return the next item to leave; changes nothing visible."""

    def pop(self, now: float) -> Item: ...
    def evict(self, newcomer: Item | None = None) -> Item | None:
        """Remove and return the item that makes room for `newcomer`; None if the newcomer gets no place."""

    def discard(self, item: Item) -> None:
        """Remove an item before its turn. Raises KeyError or ValueError if it is not in the queue."""

    def __len__(self) -> int: ...


class Fifo:
    """First come, first served: a client that sends many requests makes all others wait."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()

    def push(self, item: Item) -> None:
        self._items.append(item)

    def peek(self, now: float) -> Item | None:
        return self._items[0] if self._items else None

    def pop(self, now: float) -> Item:
        return self._items.popleft()

    def evict(self, newcomer: Item | None = None) -> Item | None:
        return None if newcomer else self._items.pop()

    def discard(self, item: Item) -> None:
        self._items.remove(item)  # a late item is near the front, so it is found at once

    def __len__(self) -> int:
        return len(self._items)


class Lifo(Fifo):
    """Last come, first served. In overload the newest are answered in time, and the oldest, with clients that
    may have left, make room: a FIFO would serve all of them too late. Without overload it hardly differs.
    """

    def peek(self, now: float) -> Item | None:
        return self._items[-1] if self._items else None

    def pop(self, now: float) -> Item:
        return self._items.pop()

    def evict(self, newcomer: Item | None = None) -> Item | None:
        return self._items.popleft()


class CoDel(Fifo):
    """First come, first served, with a controlled delay: it drops requests while all of them wait too long.

    A burst may queue up. But when every request for an `interval` has waited more than `target`, the queue
    only makes all late: then one is dropped, and another after interval / sqrt(n), until the wait is below
    the target. (Nichols and Jacobson, Controlling Queue Delay, 2012; RFC 8289: 5 ms, 100 ms.)
    """

    def __init__(self, target: float = 0.005, interval: float = 0.1) -> None:
        super().__init__()
        positive(target=target, interval=interval)
        self.target, self.interval = target, interval
        self._above_at: float | None = None  # when all will have waited too long for an interval
        self._dropping = False
        self._count = self._count_before = 0  # drops since it began to, and in the time before this one
        self._drop_next = 0.0

    def overdue(self, now: float) -> Item | None:
        """Remove and return a request to drop in place of the one to serve; None: serve the next one."""
        if not self._too_long(now):
            self._dropping = False
            return None
        if self._dropping:
            if now < self._drop_next:
                return None
            self._count += 1
            self._drop_next += self.interval / sqrt(self._count)
        else:
            # It has dropped not long ago: go on at that pace.
            more = self._count - self._count_before
            recent = now - self._drop_next < 16 * self.interval
            self._dropping = True
            self._count = self._count_before = more if more > 1 and recent else 1
            self._drop_next = now + self.interval / sqrt(self._count)
        return self._items.popleft()

    def _too_long(self, now: float) -> bool:
        """Return whether requests have waited too long for an interval; asked each time that one may go."""
        if not self._items or now - self._items[0].since < self.target:
            self._above_at = None
        elif self._above_at is None:
            self._above_at = now + self.interval
        else:
            return now >= self._above_at
        return False


class FairQueue:
    """Deficit round robin: each key in turn may send a `quantum` of cost; it keeps what it does not use.

    However much each sends, two keys that always have requests waiting get the same service, to within a
    quantum and one request. O(1) while no cost is above the quantum. (Shreedhar and Varghese, SIGCOMM 1995.)
    """

    def __init__(self, quantum: float = 1.0) -> None:
        number(MIN_QUANTUM, quantum=quantum)
        self.quantum = quantum
        self._waiting: OrderedDict[str, deque[Item]] = OrderedDict()  # in the order of their turns
        self._deficit: dict[str, float] = {}
        self._length = 0
        self._by_length: defaultdict[int, dict[str, None]] = defaultdict(dict)  # keys, as an ordered set
        self._longest = 0  # length of the longest line of one key

    def push(self, item: Item) -> None:
        line = self._waiting.get(item.key)
        if line is None:
            line = self._waiting[item.key] = deque()
            # The only key: its turn begins.
            self._deficit[item.key] = self.quantum if len(self._waiting) == 1 else 0.0
        line.append(item)
        self._changed(item.key, 1)

    def _turn(self) -> str:
        return next(iter(self._waiting))

    def peek(self, now: float) -> Item | None:
        if not self._waiting:
            return None
        while True:
            key = self._turn()
            head = self._waiting[key][0]
            if head.cost <= self._deficit[key] + TINY:
                return head
            # Its turn is over: the next one's begins.
            self._waiting.move_to_end(key)
            self._deficit[self._turn()] += self.quantum

    def pop(self, now: float) -> Item:
        item = self.peek(now)
        assert item, "none waits"
        self._deficit[item.key] -= item.cost
        self._waiting[item.key].popleft()
        self._changed(item.key, -1)
        return item

    def evict(self, newcomer: Item | None = None) -> Item | None:
        """Evict the last item of the longest line: a key with many requests cannot fill the queue."""
        if newcomer and self._longest <= len(self._waiting.get(newcomer.key, ())) + 1:
            return None
        longest = next(iter(self._by_length[self._longest]))
        item = self._waiting[longest].pop()
        self._changed(longest, -1)
        return item

    def _changed(self, key: str, by: int) -> None:
        """Note that a line is one longer or shorter: keeps the longest line known without a scan."""
        length = len(self._waiting[key])
        self._length += by
        self._by_length[length - by].pop(key, None)
        if not length:
            self._leave(key)
        else:
            self._by_length[length][key] = None
        if length > self._longest:
            self._longest = length
        elif not self._by_length[self._longest]:
            del self._by_length[self._longest]
            self._longest -= 1

    def _leave(self, key: str) -> None:
        """Remove a key with nothing waiting; it keeps no credit."""
        first = self._turn() == key
        del self._waiting[key], self._deficit[key]
        if first and self._waiting:
            self._deficit[self._turn()] += self.quantum

    def discard(self, item: Item) -> None:
        self._waiting[item.key].remove(item)
        self._changed(item.key, -1)

    def __len__(self) -> int:
        return self._length


class PriorityQueue:
    """The highest class first; one slot in `every` goes to the request waiting longest beyond `patience`
    seconds.

    So no class starves: beyond their patience, lower classes share one slot in `every`, the oldest request
    first. The highest class keeps all other slots, however many wait below. `classes`: names from high to
    low; an unknown name counts as the lowest. Within a class the order is that of `inner`, by default first
    come first served.
    """

    def __init__(
        self,
        classes: Sequence[str] = ("high", "normal", "low"),
        patience: float = 5.0,
        every: int = 4,
        inner: Callable[[], Queue] = Fifo,
    ) -> None:
        number(0, patience=patience)
        whole(1, every=every)
        if not classes:
            raise ValueError("classes: there must be at least one")
        self.classes, self.patience, self.every = tuple(classes), patience, every
        self._by_class = 0  # slots given by class since the last that went to a late request
        self._queues: dict[str, Queue] = {name: inner() for name in self.classes}

    def push(self, item: Item) -> None:
        self._queue_of(item).push(item)

    def _queue_of(self, item: Item) -> Queue:
        return self._queues[self.classes[self._rank(item)]]

    def _rank(self, item: Item) -> int:
        known = item.priority in self._queues
        return self.classes.index(item.priority) if known else len(self.classes) - 1

    def _next(self, now: float) -> tuple[Item, Queue] | None:
        heads = [(head, queue) for queue in self._queues.values() if (head := queue.peek(now))]
        if self._by_class >= self.every - 1:
            late = [entry for entry in heads[1:] if now - entry[0].since >= self.patience]
            if late:
                return min(late, key=lambda entry: entry[0].since)
        return heads[0] if heads else None

    def peek(self, now: float) -> Item | None:
        entry = self._next(now)
        return entry[0] if entry else None

    def pop(self, now: float) -> Item:
        entry = self._next(now)
        assert entry, "none waits"
        _, queue = entry
        highest = next(one for one in self._queues.values() if len(one))
        self._by_class = self._by_class + 1 if queue is highest else 0
        return queue.pop(now)

    def evict(self, newcomer: Item | None = None) -> Item | None:
        """Evict from the lowest class that waits, if the newcomer's is higher; within a class as `inner`."""
        lowest = next(name for name in reversed(self.classes) if len(self._queues[name]))
        rank, own = self.classes.index(lowest), self._rank(newcomer) if newcomer else -1
        if rank < own:
            return None
        return self._queues[lowest].evict(newcomer if rank == own else None)

    def discard(self, item: Item) -> None:
        self._queue_of(item).discard(item)

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())


QUEUES: Mapping[str, Callable[..., Queue]] = {
    "fifo": Fifo,
    "lifo": Lifo,
    "codel": CoDel,
    "fair": FairQueue,
    "priority": PriorityQueue,
}

"""Traffic shaping: queues that hold what comes too fast and let it out at a rate, in an order of their own.

Pure: nothing waits in here. Whoever uses a Shaper asks when the next one may go (`ready_at`), and takes it
then.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
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
    def evict(self, newcomer: Item | None = None) -> Item | None:
        """Take out who has to leave so that the newcomer has a place; None if it is to have none."""

    def discard(self, item: Item) -> None:
        """It leaves before its turn. Raises KeyError or ValueError if it is not there."""

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

    def evict(self, newcomer: Item | None = None) -> Item | None:
        return None if newcomer else self._items.pop()

    def discard(self, item: Item) -> None:
        self._items.remove(item)  # who has waited too long stands in front: that is found at once

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
        self._waiting: OrderedDict[str, deque[Item]] = OrderedDict()  # in the order of their turns
        self._deficit: dict[str, float] = {}
        self._length = 0
        self._by_length: defaultdict[int, dict[str, None]] = defaultdict(dict)  # keys, as an ordered set
        self._longest = 0  # how long the longest line is

    def push(self, item: Item) -> None:
        mine = self._waiting.get(item.key)
        if mine is None:
            mine = self._waiting[item.key] = deque()
            # The only one there is: its turn begins.
            self._deficit[item.key] = self.quantum if len(self._waiting) == 1 else 0.0
        mine.append(item)
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
        assert item, "nobody waits"
        self._deficit[item.key] -= item.cost
        self._waiting[item.key].popleft()
        self._changed(item.key, -1)
        return item

    def evict(self, newcomer: Item | None = None) -> Item | None:
        """The last of the longest line: one who sends much cannot fill the places of all others."""
        if newcomer and self._longest <= len(self._waiting.get(newcomer.key, ())) + 1:
            return None
        longest = next(iter(self._by_length[self._longest]))
        item = self._waiting[longest].pop()
        self._changed(longest, -1)
        return item

    def _changed(self, key: str, by: int) -> None:
        """A line is one longer or shorter. So the longest line is known without a look at all of them."""
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
        """Who has nothing waiting keeps no credit."""
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
    """The highest class first; but of `every` places one is for who has waited for `patience` seconds.

    So nobody starves: after their patience, low classes have a share of one in `every` between them, by age.
    And nobody pays more for it: the highest class keeps all other places, however many wait below. `classes`:
    names from high to low; an unknown one counts as the lowest. Within a class by `inner`, first come first
    served unless told otherwise.
    """

    def __init__(
        self,
        classes: Sequence[str] = ("high", "normal", "low"),
        patience: float = 5.0,
        every: int = 4,
        inner: Callable[[], Queue] = Fifo,
    ) -> None:
        positive(patience=patience, every=every)
        if not classes:
            raise ValueError("classes: there must be at least one")
        self.classes, self.patience, self.every = tuple(classes), patience, every
        self._by_class = 0  # places given by class since the last that went to somebody late
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
        assert entry, "nobody waits"
        _, queue = entry
        highest = next(one for one in self._queues.values() if len(one))
        self._by_class = self._by_class + 1 if queue is highest else 0
        return queue.pop(now)

    def evict(self, newcomer: Item | None = None) -> Item | None:
        """Of the lowest class that waits, if the newcomer's is higher; within a class as `inner` does."""
        lowest = next(name for name in reversed(self.classes) if len(self._queues[name]))
        rank, own = self.classes.index(lowest), self._rank(newcomer) if newcomer else -1
        if rank < own:
            return None
        return self._queues[lowest].evict(newcomer if rank == own else None)

    def discard(self, item: Item) -> None:
        self._queue_of(item).discard(item)

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())


QUEUES: Mapping[str, Callable[[], Queue]] = {"fifo": Fifo, "fair": FairQueue, "priority": PriorityQueue}


class Shaper:
    """Lets out `rate` of cost a second, `burst` at once; holds up to `max_queue` items.

    A rate of inf is no pace: what waits may go at once. When it is full, the queue says who has to leave.
    """

    def __init__(
        self,
        rate: float,
        burst: float = 1.0,
        queue: Queue | None = None,
        max_queue: int = 1000,
    ) -> None:
        positive(burst=burst, max_queue=max_queue)
        if not rate > 0:
            raise ValueError(f"rate is {rate}: use a number above 0, or inf for no pace")
        self.rate, self.burst, self.max_queue = rate, burst, max_queue
        self.queue: Queue = queue if queue is not None else Fifo()
        self._tokens, self._since = burst, float("-inf")

    def offer(self, what: Any, now: float, key: str = "", cost: float = 1.0, priority: str = "") -> Any:
        """What has no place: None if all have one, else one that waited, or `what` itself.

        Raises ValueError for a cost above the burst."""
        out = self.put(Item(what, key, cost, priority, now))
        return None if out is None else out.what

    def put(self, item: Item) -> Item | None:
        """As `offer`, for who keeps the item, to take it out of the queue again with `discard`."""
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
        """When so much may go, if nobody else is there: now or later."""
        lacking = cost - self._tokens_at(now)
        return now if lacking <= TINY else now + lacking / self.rate

    def ready_at(self, now: float) -> float | None:
        """When the next one may go: now or later; None if nobody waits."""
        head = self.queue.peek(now)
        return None if head is None else self.when(head.cost, now)

    def take(self, now: float) -> Item | None:
        """The next one, if it may go now."""
        ready = self.ready_at(now)
        if ready is None or ready > now:
            return None
        tokens = self._tokens_at(now)
        item = self.queue.pop(now)
        self._tokens, self._since = tokens - item.cost, max(now, self._since)
        return item

    def __len__(self) -> int:
        return len(self.queue)

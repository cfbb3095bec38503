"""Taking turns: algorithms that look at nothing but whose turn it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from heapq import heapify, heappop, heappush, heapreplace

from lbkit.core.backend import Backend, whole_weights
from lbkit.core.balance.base import Balancer, Why


class RoundRobin(Balancer):
    """Each in turn. Equal counts, whatever the servers can bear."""

    def __init__(self) -> None:
        self._turn = -1

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        # The turn is kept within the pool, so a pool that grows goes on with the newcomer's turn
        # instead of jumping to wherever a count of all picks would point.
        self._turn = turn = (self._turn + 1) % len(backends)
        return backends[turn]

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        # Turns go on over all of them. Over the others only, the turn would point elsewhere: with
        # one of three servers refusing, every retry and every turn would meet on the same second.
        while (backend := self.pick(backends, key, now)) in exclude:
            pass
        return backend

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        n = len(backends)
        return Why("whose turn it is", place=(self._turn + 1) % n, places=n)


class WeightedRoundRobin(Balancer):
    """Turns in proportion to weight, spread out smoothly: weights 5, 1, 1 give a a b a c a a.

    Every backend saves up its weight at each pick; the richest is picked and pays what
    all together saved. (nginx, ngx_http_upstream_round_robin.c, "smooth weighted round robin".)
    """

    def __init__(self) -> None:
        self._saved: dict[Backend, float] = {}

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._saved = {b: self._saved.get(b, 0.0) for b in backends}

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        saved = self._saved
        total = 0.0
        best = backends[0]
        most = float("-inf")
        for backend in backends:
            weight = backend.weight
            total += weight
            saved[backend] = mine = saved.get(backend, 0.0) + weight
            if mine > most:  # the first wins ties
                best, most = backend, mine
        saved[best] -= total
        return best

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        saved = {b.name: self._saved.get(b, 0.0) + b.weight for b in backends}
        return Why("what each has saved up", saved, "highest")


class _Cycle(Balancer):
    """Turns in a fixed order, which goes on where it was when it changes."""

    def __init__(self) -> None:
        self._cycle: list[Backend] = []
        self._next = 0

    def cycle(self, turns: Mapping[Backend, int]) -> list[Backend]:
        """The order, given how many turns each has in it."""
        raise NotImplementedError

    def rebuild(self, backends: Sequence[Backend]) -> None:
        cycle = self.cycle(whole_weights({b: b.weight for b in backends}))
        if cycle != self._cycle:
            done = self._next / len(self._cycle) if self._cycle else 0.0
            self._cycle = cycle
            self._next = int(done * len(cycle))

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self.pick_except(backends, (), key, now)

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        while True:
            backend = self._cycle[self._next]
            self._next = (self._next + 1) % len(self._cycle)
            if backend not in exclude:
                return backend

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        return Why("whose turn it is in the cycle", place=self._next, places=len(self._cycle))


class InterleavedRoundRobin(_Cycle):
    """Turns in rounds: in round r of the highest weight, whoever has a weight of r or more takes one.

    Weights 3, 2, 1 give a, a b, a b c. Cheap, and heavy servers get their extra turns in a row at the
    start of a cycle. Whole weights; fractions are brought to whole ones. (Linux Virtual Server, `wrr`.)
    """

    def cycle(self, turns: Mapping[Backend, int]) -> list[Backend]:
        rounds = range(max(turns.values(), default=0), 0, -1)
        return [b for least in rounds for b in turns if turns[b] >= least]


class ConsecutiveRoundRobin(_Cycle):
    """Each takes all its turns in a row: weights 3, 2, 1 give a a a b b c.

    In proportion, but in bursts: for a while one server gets everything. (Caddy, `weighted_round_robin`.)
    """

    def cycle(self, turns: Mapping[Backend, int]) -> list[Backend]:
        return [b for b in turns for _ in range(turns[b])]


class StaticRoundRobin(_Cycle):
    """Turns from a table that is made once, and smooth: weights 3, 2, 1 give a b a b a c.

    Slot by slot everybody saves up its weight, as in smooth weighted round robin; but whoever could pay a
    turn may go, and the first in the list goes. (HAProxy, `static-rr`, lb_map.c, which looks at everybody
    for every slot; here O(log n) a slot.)
    """

    def cycle(self, turns: Mapping[Backend, int]) -> list[Backend]:
        backends, total = list(turns), sum(turns.values())
        # Only the slots count where somebody has saved up one more whole turn.
        richer: list[list[int]] = [[] for _ in range(total + 1)]
        for i, weight in enumerate(turns.values()):
            for turn in range(1, weight + 1):
                richer[-(-turn * total // weight)].append(i)
        saved = [0] * len(backends)  # whole turns; -1 is one in advance
        waiting = {0: list(range(len(backends)))}  # saved turns -> who, as heaps; some have left since
        table = []
        for slot in range(1, total + 1):
            for i in richer[slot]:
                saved[i] += 1
                heappush(waiting.setdefault(saved[i], []), i)
            for whole in sorted(waiting, reverse=True):  # from -1 to 2
                heap = waiting[whole]
                while heap and saved[heap[0]] != whole:
                    heappop(heap)
                if heap:
                    break
            best = heappop(heap)
            saved[best] -= 1
            heappush(waiting.setdefault(saved[best], []), best)
            table.append(backends[best])
        return table


class FastRoundRobin(Balancer):
    """Everybody's next turn has a number: its last one + (all weights / its own), and the lowest goes.

    O(log n) a pick. Turns are dealt out for a window of sixteen cycles; whose next one lies beyond it waits
    for the following window, the heaviest first, and loses a part of a turn: weights 8, 6, 8 get 330, 241
    and 329 of 900. (HAProxy, `roundrobin`, lb_fwrr.c.)
    """

    def __init__(self) -> None:
        self._began: tuple[tuple[Backend, int], ...] = ()

    def rebuild(self, backends: Sequence[Backend]) -> None:
        turns = whole_weights({b: b.weight for b in backends}, 256)
        if tuple(turns.items()) == self._began:
            return
        self._began = tuple(turns.items())
        self._weight = turns
        self._total = sum(turns.values())
        self._window = self._turn = 16 * self._total
        self._count = 0  # keeps equals in the order in which they came
        self._fresh: list[_Entry] = []  # has had no turn in this window
        self._queue: list[_Entry] = []  # by the number of the next turn
        self._later: list[_Entry] = []  # waits for the next window
        for backend in backends:
            self._push(self._fresh, -turns[backend], backend, 0, 0)

    def _push(self, heap: list[_Entry], order: int, backend: Backend, turn: int, rest: int) -> None:
        self._count += 1
        heappush(heap, (order, self._count, backend, turn, rest))

    def _heap(self) -> list[_Entry]:
        """Where the next one is: who is due, else who has had no turn yet, else who comes first."""
        if self._queue and self._queue[0][3] <= self._turn:
            return self._queue
        if not self._fresh and not self._queue:
            self._fresh, self._later = self._later, []
            self._turn = self._window
        return self._fresh or self._queue

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        heap = self._heap()
        _, _, backend, turn, rest = heappop(heap)
        if heap is self._fresh:
            turn, rest = self._turn, 0
        weight = self._weight[backend]
        turn += self._total // weight
        rest += self._total % weight  # of a turn: what the division leaves adds up
        if rest >= weight:
            rest -= weight
            turn += 1
        self._turn += 1
        if turn >= 2 * self._window:
            self._push(self._later, -weight, backend, 0, 0)
        else:
            self._push(self._queue, 256 * turn + 256 - weight + rest, backend, turn, rest)
        return backend

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        while (backend := self.pick(backends, key, now)) in exclude:
            pass
        return backend

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        due = self._queue and self._queue[0][3] <= self._turn
        fresh = self._fresh or (not self._queue and self._later)
        if fresh and not due:
            heaviest = {b.name: float(-order) for order, _, b, *_ in fresh}
            return Why("the heaviest that had no turn yet in this window", heaviest, "highest")
        # In the queue a turn counts 256, and the lighter one goes first.
        turns = {b.name: order / 256 for order, _, b, *_ in self._queue}
        return Why("the number of the next turn", turns, "lowest")


_Entry = tuple[int, int, Backend, int, int]  # order, count, who, number of the turn, rest


class EarliestDeadline(Balancer):
    """Everybody's next turn is due 1/weight after the last; whoever is due first goes.

    In proportion and spread out, with weights that are no whole numbers, at O(log n) a pick where
    smooth weighted round robin is O(n). (Earliest deadline first, as in Envoy's and Traefik's weighted
    round robin.)
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Backend]] = []
        self._turn = 0  # settles ties: whoever waited longer
        self._now = 0.0  # the deadline that was met last
        self._weights: dict[Backend, float] = {}

    def rebuild(self, backends: Sequence[Backend]) -> None:
        known = {b: (due, turn) for due, turn, b in self._due}
        due = []
        for backend in backends:
            if backend in known and self._weights[backend] == backend.weight:
                when, turn = known[backend]
            else:
                self._turn = turn = self._turn + 1
                when = self._now + 1 / backend.weight
            due.append((when, turn, backend))
        self._due = due
        self._weights = {b: b.weight for b in backends}
        heapify(self._due)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        self._now, _, backend = self._due[0]
        self._turn += 1
        heapreplace(self._due, (self._now + 1 / backend.weight, self._turn, backend))
        return backend

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        # The tried ones keep their turn; retries are rare: a scan is fine.
        due, _, backend = entry = min(e for e in self._due if e[2] not in exclude)
        self._turn += 1
        self._due[self._due.index(entry)] = (due + 1 / backend.weight, self._turn, backend)
        heapify(self._due)
        return backend

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        return Why("when each is due", {b.name: due for due, _, b in self._due}, "lowest")


class FirstAvailable(Balancer):
    """The first in the list that has fewer than `limit` requests in flight; the last one takes what is left.

    Fills servers one by one, so that the others can be switched off. Weights scale the limit.
    (HAProxy, `balance first` with maxconn.)
    """

    def __init__(self, limit: int = 10) -> None:
        if limit < 1:
            raise ValueError(f"limit is {limit}: a server needs room for at least 1 request")
        self.limit = limit

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        limit = self.limit
        for backend in backends:
            if backend.in_flight < limit * backend.weight:
                return backend
        return backends[-1]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        room = {b.name: self.limit * b.weight - b.in_flight for b in backends}
        return Why("the first with room", room)

"""Round robin, plain and weighted: the backends take turns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from typing import ClassVar

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend, whole_weights
from lbkit.core.balance.base import Balancer, Why, _Rotation


@mypyc_attr(allow_interpreted_subclasses=True)
class RoundRobin(_Rotation):
    """Each backend in turn: equal counts, whatever the capacity of the servers."""

    def __init__(self) -> None:
        self._turn = -1

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        # An index, not a count of all picks: a pool that grows goes on with the new backend's turn instead
        # of jumping to wherever a count modulo the new size would point.
        self._turn = turn = (self._turn + 1) % len(backends)
        return backends[turn]

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        # Turns go on over all backends. Over the others only, the index would mean another backend: with
        # one of three servers refusing, every retry and every next turn would go to the same server.
        while (backend := self.pick(backends, key, now)) in exclude:
            pass
        return backend

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        n = len(backends)
        return Why("the next turn", place=(self._turn + 1) % n, places=n)


@mypyc_attr(allow_interpreted_subclasses=True)
class WeightedRoundRobin(_Rotation):
    """Turns in proportion to weight, spread out smoothly: weights 5, 1, 1 give a a b a c a a.

    At each pick every backend's current weight grows by its weight; the highest is picked, and the sum of
    all weights is taken from it. (nginx, ngx_http_upstream_round_robin.c, "smooth weighted round robin".)
    """

    by_weight = True

    def __init__(self) -> None:
        self._current: dict[Backend, float] = {}

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._current = {b: self._current.get(b, 0.0) for b in backends}

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        current = self._current
        total = 0.0
        best = backends[0]
        highest = float("-inf")
        for backend in backends:
            weight = backend.weight
            total += weight
            current[backend] = own = current.get(backend, 0.0) + weight
            if own > highest:  # the first wins ties
                best, highest = backend, own
        current[best] -= total
        return best

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        current = {b.name: self._current.get(b, 0.0) + b.weight for b in backends}
        return Why("current weight", current, "highest")


@mypyc_attr(allow_interpreted_subclasses=True)
class _Cycle(Balancer):
    """Turns in a fixed cycle; a new cycle goes on at the same part of its length."""

    by_weight = True
    max_weight: ClassVar[int] = 1000  # turns of the heaviest backend in a cycle, where weights are not whole

    def __init__(self) -> None:
        self._cycle: list[Backend] = []
        self._next = 0

    def cycle(self, turns: Mapping[Backend, int]) -> list[Backend]:
        """Return the order of one cycle, in which each backend has `turns` turns."""
        raise NotImplementedError

    def rebuild(self, backends: Sequence[Backend]) -> None:
        cycle = self.cycle(whole_weights({b: b.weight for b in backends}, self.max_weight))
        if cycle != self._cycle:
            done = self._next / len(self._cycle) if self._cycle else 0.0
            self._cycle = cycle
            self._next = int(done * len(cycle))

    def start_at(self, backends: Sequence[Backend], place: float) -> None:
        self._next = int(place * len(self._cycle))

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
        return Why("next turn in the cycle", place=self._next, places=len(self._cycle))


@mypyc_attr(allow_interpreted_subclasses=True)
class InterleavedRoundRobin(_Cycle):
    """Turns in rounds, one for each unit of the highest weight: 3, 2, 1 give a, a b, a b c.

    A backend takes a turn in the last rounds, as many as its weight. Cheap, but heavy servers get their extra
    turns in a row at the start of a cycle. Fractional weights are scaled to whole ones. (Linux Virtual
    Server, `wrr`.)
    """

    def cycle(self, turns: Mapping[Backend, int]) -> list[Backend]:
        rounds = range(max(turns.values(), default=0), 0, -1)
        return [b for least in rounds for b in turns if turns[b] >= least]


@mypyc_attr(allow_interpreted_subclasses=True)
class ConsecutiveRoundRobin(_Cycle):
    """All turns of a backend in a row: weights 3, 2, 1 give a a a b b c.

    Shares follow the weights, but in bursts: for a while one server gets everything. (Caddy,
    `weighted_round_robin`.)
    """

    def cycle(self, turns: Mapping[Backend, int]) -> list[Backend]:
        return [b for b in turns for _ in range(turns[b])]


@mypyc_attr(allow_interpreted_subclasses=True)
class StaticRoundRobin(_Cycle):
    """Turns from a smooth table that is built once: weights 3, 2, 1 give a b a b a c.

    Slot by slot each backend's current weight grows, as in smooth weighted round robin; the slot goes to the
    first in the list among those with the most whole turns saved. (HAProxy, `static-rr`, lb_map.c, which
    compares all backends for every slot; here O(log n) a slot.)
    """

    max_weight = 256  # as in HAProxy

    def start_at(self, backends: Sequence[Backend], place: float) -> None:
        """Do nothing: every process of HAProxy starts at the first slot."""

    def cycle(self, turns: Mapping[Backend, int]) -> list[Backend]:
        backends, total = list(turns), sum(turns.values())
        # Only the slots matter in which a backend has saved one more whole turn.
        richer: list[list[int]] = [[] for _ in range(total + 1)]
        for i, weight in enumerate(turns.values()):
            for turn in range(1, weight + 1):
                richer[-(-turn * total // weight)].append(i)
        saved = [0] * len(backends)  # whole turns; -1 is one in advance
        waiting = {0: list(range(len(backends)))}  # saved turns -> heap of backends, with stale entries
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


@mypyc_attr(allow_interpreted_subclasses=True)
class EarliestDeadline(_Rotation):
    """The backend with the earliest deadline; its next deadline is 1/weight later.

    Smooth weighted round robin in O(log n) a pick instead of O(n), also for fractional weights. (Earliest
    deadline first, as in Envoy's and Traefik's weighted round robin.)
    """

    by_weight = True

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Backend]] = []
        self._turn = 0  # settles ties: the longest waiting first
        self._now = 0.0  # the latest deadline met
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
        # Excluded backends keep their turn. Retries are rare: a scan is fine.
        due, _, backend = entry = min(e for e in self._due if e[2] not in exclude)
        self._turn += 1
        self._due[self._due.index(entry)] = (due + 1 / backend.weight, self._turn, backend)
        heapify(self._due)
        return backend

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        return Why("deadline of the next turn", {b.name: due for due, _, b in self._due}, "lowest")

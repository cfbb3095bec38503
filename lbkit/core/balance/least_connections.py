"""Least connections: the backend with the fewest requests in flight for its weight."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from heapq import heapify, heappop, heappush

from mypy_extensions import i64, mypyc_attr

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why, _Rotation
from lbkit.core.heap import Heap
from lbkit.core.options import number
from lbkit.core.vectors import COMPILED, vec

MAX_BIAS = 30.0  # (in flight + 1)^bias stays a number, with a billion in flight

# Backends of one score, longest waiting first. A plain dict skips its gaps to find the first entry.
_Level = OrderedDict[Backend, None]


class _Levels:
    """Backends on levels by score, for interpreted Python: a heap holds the scores, lowest first.

    A move is O(1) while the levels that it needs exist, else O(log n)."""

    def __init__(self, members: Sequence[Backend]) -> None:
        self._levels: dict[float, _Level] = {}  # score -> level, possibly empty
        self._scores: list[float] = []  # the keys of `_levels`, as a heap
        self._spare: list[_Level] = []  # empty levels, used again: new ones are expensive
        # All backends, longest waiting first, and the level of each.
        self._level_of: dict[Backend, _Level] = {b: OrderedDict.fromkeys((b,)) for b in members}
        self._first: Backend | None = None  # what `first` has returned

    def __contains__(self, backend: Backend) -> bool:
        return backend in self._level_of

    def __len__(self) -> int:
        """The number of levels, empty ones included."""
        return len(self._scores)

    def waiting(self) -> list[Backend]:
        """Return all backends, longest waiting first."""
        return list(self._level_of)

    def first(self) -> Backend:
        """Return the backend with the lowest score that has waited longest."""
        levels, scores = self._levels, self._scores
        while not (level := levels[scores[0]]):
            self._spare.append(levels.pop(heappop(scores)))
        self._first = found = next(iter(level))
        return found

    def move(self, backend: Backend, score: float) -> None:
        """Move a backend to the level of its new score, behind its equals."""
        del self._level_of.pop(backend)[backend]
        level = self._levels.get(score)
        if level is None:
            self._levels[score] = level = self._spare.pop() if self._spare else OrderedDict()
            heappush(self._scores, score)
            if len(self._scores) > 4 * len(self._level_of) + 16:
                self._drop_empty_levels(but=score)
        level[backend] = None
        self._level_of[backend] = level

    def move_first(self, score: float) -> None:
        """Move the backend that `first` has just returned."""
        assert self._first
        self.move(self._first, score)

    def _drop_empty_levels(self, but: float) -> None:
        self._levels = {score: level for score, level in self._levels.items() if level or score == but}
        self._scores = sorted(self._levels)


class _Indexed:
    """The same in a heap of columns, for compiled code. A move adds an entry and makes the older one void."""

    def __init__(self, members: Sequence[Backend]) -> None:
        self._members = list(members)
        self._number = {backend: i for i, backend in enumerate(self._members)}
        self._turn = vec[i64](range(len(self._members)))  # of the latest move of each: settles ties
        self._turns: i64 = len(self._members)  # given so far
        self._heap = Heap()

    def __contains__(self, backend: Backend) -> bool:
        return backend in self._number

    def __len__(self) -> int:
        """The number of entries, void ones included."""
        return self._heap.size

    def waiting(self) -> list[Backend]:
        turns = self._turn
        return sorted(self._members, key=lambda backend: int(turns[self._number[backend]]))

    def first(self) -> Backend:
        heap, turns = self._heap, self._turn
        while heap.numbers[0] != turns[heap.items[0]]:
            heap.pop()
        return self._members[heap.items[0]]

    def move(self, backend: Backend, score: float) -> None:
        number: i64 = self._number[backend]
        if self._heap.size and self._heap.items[0] == number:
            self.move_first(score)
            return
        self._turn[number] = turn = self._next_turn()
        self._heap.push(score, turn, number)
        if self._heap.size > 4 * len(self._turn) + 16:
            self._drop_void_entries()

    def move_first(self, score: float) -> None:
        """Move the backend that `first` has just returned, without a look-up."""
        number: i64 = self._heap.items[0]
        self._turn[number] = turn = self._next_turn()
        self._heap.replace(score, turn, number)

    def _next_turn(self) -> i64:
        self._turns += 1
        return self._turns

    def _drop_void_entries(self) -> None:
        old, turns = self._heap, self._turn
        self._heap = Heap()
        for place in range(old.size):
            if old.numbers[place] == turns[old.items[place]]:
                self._heap.push(old.keys[place], old.numbers[place], old.items[place])


def _ordered(members: Sequence[Backend]) -> _Indexed:
    """Return an order of the backends, in which each must first be moved to its score."""
    if COMPILED:
        return _Indexed(members)
    else:
        return _Levels(members)


@mypyc_attr(allow_interpreted_subclasses=True)
class _LowestScore(Balancer):
    """The backend with the lowest score, found without a scan: `_Levels`, or `_Indexed`, keep them in order.

    A score changes only when a request of its backend starts or ends, and the backend then moves. A pick is
    O(log n) at most. Among equal scores, the backend that has waited longest comes first.
    """

    scored = "in flight / weight"  # what the score is, in words

    def __init__(self) -> None:
        self._order = _ordered(())

    def score(self, backend: Backend, in_flight: int) -> float:
        """Return the score of a backend with `in_flight` requests, by its weight; the lowest wins."""
        raise NotImplementedError

    def rebuild(self, backends: Sequence[Backend]) -> None:
        # In the old order: a change elsewhere must not cost a backend its place.
        wanted = set(backends)
        known = [b for b in self._order.waiting() if b in wanted]
        members = list(dict.fromkeys((*known, *backends)))
        self._order = _ordered(members)
        for backend in members:
            self._move(backend, backend.in_flight)

    def start_at(self, backends: Sequence[Backend], place: float) -> None:
        for backend in self._order.waiting()[: int(place * len(backends))]:
            self._move(backend, backend.in_flight)  # behind its equals

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        order = self._order
        backend = order.first()
        order.move_first(self.score(backend, backend.in_flight + 1))
        return backend

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        # Retries are rare: a scan is fine.
        waiting = [b for b in self._order.waiting() if b not in exclude]
        best = min(waiting, key=lambda b: self.score(b, b.in_flight))
        self._move(best, best.in_flight + 1)
        return best

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        order = self._order
        if backend in order:  # still eligible
            order.move(backend, self.score(backend, backend.in_flight))

    def resumed(self, backend: Backend, now: float) -> None:
        if backend in self._order:
            self._move(backend, backend.in_flight)

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        scores = {b.name: self.score(b, b.in_flight) for b in self._order.waiting()}
        return Why(f"{self.scored}, ties: least recently picked", scores, "lowest")

    def _move(self, backend: Backend, in_flight: int) -> None:
        """Move a backend to the place of its new score, behind its equals."""
        self._order.move(backend, self.score(backend, in_flight))


@mypyc_attr(allow_interpreted_subclasses=True)
class LeastConnections(_LowestScore):
    """The backend with the fewest requests in flight for its weight.

    It sees queues build up, so it copes with requests of unequal length. It does not see why
    a server answers quickly: one that fails fast looks idle.
    """

    def score(self, backend: Backend, in_flight: int) -> float:
        return in_flight / backend.weight


@mypyc_attr(allow_interpreted_subclasses=True)
class WeightedLeastConnections(_Rotation):
    """Weighted round robin in which requests in flight lower the weight: weight / (in flight + 1)^bias.

    With `bias` 0 it is weighted round robin; the higher, the closer to least connections. Turns go by
    earliest deadline first, and in flight is counted before the pick. O(log n). (Envoy, least_request with
    weights, `active_request_bias`.)
    """

    def __init__(self, bias: float = 1.0) -> None:
        number(0, MAX_BIAS, bias=bias)
        self.bias = bias
        self._due: list[tuple[float, int, Backend]] = []
        self._turn = 0  # settles ties
        self._now = 0.0  # the latest deadline met
        self._weights: dict[Backend, float] = {}

    def _next_entry(self, since: float, backend: Backend, in_flight: int) -> tuple[float, int, Backend]:
        self._turn += 1
        return since + (in_flight + 1) ** self.bias / backend.weight, self._turn, backend

    def rebuild(self, backends: Sequence[Backend]) -> None:
        # A new weight needs a new deadline: the old one of a light backend may lie a thousand turns ahead.
        known = {entry[2]: entry for entry in self._due if self._weights[entry[2]] == entry[2].weight}
        self._due = [known.get(b) or self._next_entry(self._now, b, b.in_flight) for b in backends]
        self._weights = {b: b.weight for b in backends}
        heapify(self._due)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self.pick_except(backends, (), key, now)

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        passed = []
        while True:
            entry = heappop(self._due)
            if entry[2] not in exclude:
                break
            passed.append(entry)  # keeps its turn
        for entry_passed in passed:
            heappush(self._due, entry_passed)
        self._now, _, backend = entry
        heappush(self._due, self._next_entry(self._now, backend, backend.in_flight))
        return backend

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        return Why("deadline of the next turn", {b.name: due for due, _, b in self._due}, "lowest")

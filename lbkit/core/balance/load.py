"""Looking at load: the backend with the lowest score gets the request."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from heapq import heapify, heappop, heappush
from math import exp

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.balance.chance import _FewLooks, same_dice

# Backends of one score, longest waiting first. A plain dict looks for its first one after all gaps.
_Level = OrderedDict[Backend, None]


class _LowestScore(Balancer):
    """Keeps backends on levels by score, so that a pick over thousands is not a scan.

    A score moves only when its backend is picked or comes back, and the backend then changes level;
    a heap tells which level is the lowest. So a pick is O(log n), and O(1) while it finds
    the levels it needs. Among equals, whoever has waited longest goes first.
    """

    def __init__(self) -> None:
        self._levels: dict[float, _Level] = {}  # score -> level, maybe empty
        self._scores: list[float] = []  # those of `_levels`, as a heap
        self._spare: list[_Level] = []  # empty ones, for a score that is new: they are dear to make
        self._level_of: dict[Backend, _Level] = {}  # everybody, longest waiting first

    def score(self, backend: Backend, in_flight: int) -> float:
        """Of a backend with so many in flight; lower is better. Made of its weight and latency besides."""
        raise NotImplementedError

    def rebuild(self, backends: Sequence[Backend]) -> None:
        # In the old order, so that a change elsewhere does not cost anybody his turn.
        members = set(backends)
        known = [b for b in self._level_of if b in members]
        self._levels, self._scores, self._level_of = {}, [], {}
        for backend in dict.fromkeys((*known, *backends)):
            self._level_of[backend] = OrderedDict.fromkeys((backend,))
            self._move(backend, backend.in_flight)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        levels, scores = self._levels, self._scores
        while not (level := levels[scores[0]]):
            self._spare.append(levels.pop(heappop(scores)))
        backend = next(iter(level))
        self._move(backend, backend.in_flight + 1)
        return backend

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        # Retries are rare: a scan is fine.
        waiting = (b for b in self._level_of if b not in exclude)
        best = min(waiting, key=lambda b: self.score(b, b.in_flight))
        self._move(best, best.in_flight + 1)
        return best

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if backend in self._level_of:  # not draining, nor gone
            self._move(backend, backend.in_flight)

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        scores = {b.name: self.score(b, b.in_flight) for b in self._level_of}
        return Why("score, longest waiting first", scores, "lowest")

    def _move(self, backend: Backend, in_flight: int) -> None:
        """To the level of its new score, behind its equals."""
        del self._level_of.pop(backend)[backend]
        score = self.score(backend, in_flight)
        level = self._levels.get(score)
        if level is None:
            self._levels[score] = level = self._spare.pop() if self._spare else OrderedDict()
            heappush(self._scores, score)
            if len(self._scores) > 4 * len(self._level_of) + 16:
                self._drop_empty_levels(but=score)
        level[backend] = None
        self._level_of[backend] = level

    def _drop_empty_levels(self, but: float) -> None:
        self._levels = {score: level for score, level in self._levels.items() if level or score == but}
        self._scores = sorted(self._levels)


class LeastConnections(_LowestScore):
    """The fewest requests in flight for its weight.

    Sees queues build up, so it copes with requests of unequal length; does not see why
    a server answers quickly: one that fails fast looks idle.
    """

    def score(self, backend: Backend, in_flight: int) -> float:
        return in_flight / backend.weight


class LeastResponseTime(_LowestScore):
    """The shortest wait to expect: average latency x (in flight + 1), for its weight.

    As nginx's least_time and Traefik's leasttime. A newcomer has no latency
    yet and scores 0, so it is flooded until its first answer is back. One that has only ever failed
    counts as slow as the slowest: to go on believing in its 0 would send everything there.
    """

    def __init__(self) -> None:
        super().__init__()
        self._slowest = 0.0
        self._assumed: dict[Backend, float] = {}  # of those that have failed and never succeeded

    def score(self, backend: Backend, in_flight: int) -> float:
        latency = backend.latency or self._assumed.get(backend, 0.0)
        return latency * (in_flight + 1) / backend.weight

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._assumed = {b: self._assumed[b] for b in backends if b in self._assumed}
        super().rebuild(backends)

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if backend.latency > self._slowest:
            self._slowest = backend.latency
        if ok is False and not backend.latency and backend in self._level_of:
            self._assumed[backend] = self._slowest
        super().done(backend, latency, ok, now)


class WeightedLeastConnections(Balancer):
    """Earliest deadline first; a turn is worth weight / (in flight + 1)^bias, in flight before the pick.

    With `bias` 0 it is plain weighted rotation, and the higher it is, the more what runs counts: between
    least connections and round robin there is a knob. O(log n). (Envoy, least_request with weights,
    `active_request_bias`.)
    """

    def __init__(self, bias: float = 1.0) -> None:
        if not 0 <= bias < float("inf"):
            raise ValueError(f"bias is {bias}: use 0, for no notice of load, or more")
        self.bias = bias
        self._due: list[tuple[float, int, Backend]] = []
        self._turn = 0  # settles ties
        self._now = 0.0  # the deadline that was met last
        self._weights: dict[Backend, float] = {}

    def _after(self, since: float, backend: Backend, in_flight: int) -> tuple[float, int, Backend]:
        self._turn += 1
        return since + (in_flight + 1) ** self.bias / backend.weight, self._turn, backend

    def rebuild(self, backends: Sequence[Backend]) -> None:
        # Who has another weight gets another deadline: a light one's may lie a thousand turns ahead.
        known = {entry[2]: entry for entry in self._due if self._weights[entry[2]] == entry[2].weight}
        self._due = [known.get(b) or self._after(self._now, b, b.in_flight) for b in backends]
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
        for one in passed:
            heappush(self._due, one)
        self._now, _, backend = entry
        heappush(self._due, self._after(self._now, backend, backend.in_flight))
        return backend

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        return Why("when each is due", {b.name: due for due, _, b in self._due}, "lowest")


class PeakEWMA(_FewLooks):
    """Of two random backends, the one where the wait should be shorter: recent latency x (in flight + 1).

    The average forgets with time, not with requests (`decay`, seconds), and jumps up at once when an
    answer is slow: it believes bad news faster than good. A failure counts as the slowest answer there was,
    however quickly it came. (Finagle's P2C with Peak EWMA; Linkerd.)
    """

    name = "peak_ewma"

    def __init__(self, decay: float = 10.0) -> None:
        if not decay > 0:
            raise ValueError(f"decay is {decay}: use seconds above 0")
        self.decay = decay
        self._known: dict[Backend, tuple[float, float]] = {}  # latency, when it was learned
        self._slowest = 0.0

    def rebuild(self, backends: Sequence[Backend]) -> None:
        members = set(backends)
        self._known = {b: known for b, known in self._known.items() if b in members}

    def score(self, backend: Backend, now: float) -> float:
        latency, since = self._known.get(backend, (0.0, now))
        if not latency and backend.in_flight:
            return 1e9 + backend.in_flight  # a newcomer gets one request, not a flood, until its first answer
        return latency * exp(-(now - since) / self.decay) * (backend.in_flight + 1) / backend.weight

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if ok is None:
            return
        self._slowest = max(self._slowest, latency)
        if not ok:
            latency = self._slowest
        before, since = self._known.get(backend, (0.0, now))
        kept = exp(-(now - since) / self.decay)
        average = before * kept + latency * (1 - kept)
        self._known[backend] = max(latency, average), now


class JoinIdleQueue(Balancer):
    """Whoever has nothing to do waits in a queue, and the first in it goes; if it is empty, chance decides.

    A pick looks at nobody: idle servers come forward by themselves. As good as looking at all while
    somebody is idle, and no better than chance when nobody is. (Lu et al., Performance Evaluation 68, 2011.)
    """

    def __init__(self) -> None:
        # In the order in which they became so. A plain dict would look for its first one after all gaps.
        self._idle: OrderedDict[Backend, None] = OrderedDict()
        self._members: frozenset[Backend] = frozenset()

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._members = frozenset(backends)
        waiting = [b for b in self._idle if b in self._members]
        self._idle = OrderedDict.fromkeys([*waiting, *(b for b in backends if not b.in_flight)])

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        idle = self._waiting(backends)
        if not idle:
            return backends[int(self.rng.random() * len(backends))]
        backend = next(iter(idle))
        del self._idle[backend]
        return backend

    def _waiting(self, backends: Sequence[Backend]) -> Collection[Backend]:
        """Of the idle ones, those that may be picked: fewer in a retry."""
        return self._idle if len(backends) == len(self._members) else [b for b in self._idle if b in backends]

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if not backend.in_flight and backend in self._members:
            self._idle[backend] = None

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        idle = self._waiting(backends)
        if idle:
            return Why("the first of the idle ones", {b.name: i for i, b in enumerate(idle)}, "lowest")
        with same_dice(self.rng):
            n = len(backends)
            return Why("nobody is idle: chance decides", place=int(self.rng.random() * n), places=n)

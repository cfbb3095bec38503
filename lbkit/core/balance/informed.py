"""Algorithms that hear what servers say of themselves, not only what one balancer can count.

A balancer knows its own requests. Where there are several balancers, each knows a part, and the server alone
knows the whole: it says so in its answers (`LoadReport`), or when it is asked.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from heapq import heapify, heapreplace
from statistics import fmean
from typing import NamedTuple

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.balance.chance import _FewLooks, same_dice
from lbkit.core.meter import LoadReport

RECENT = 128  # probes whose loads say what is usual


class _Probe(NamedTuple):
    backend: Backend
    in_flight: int
    latency: float
    when: float
    uses: int


class Prequal(Balancer):
    """Keeps a small pool of fresh probes; of the cold ones the fastest, else the least loaded.

    A probe is hot when its server has more in flight than the `hot` quantile of the latest probes. A probe
    is used a few times at most, its count raised by each use; after `age` seconds it is too old; and at each
    pick the worst or the oldest leaves. So nobody runs after news that everybody has. With under two probes
    chance decides. (Wydrowski et al., "Load is not what you should balance", NSDI 2024: 3 probes a request,
    pool of 16, 1 s, one removed a request, Q_RIF 0.84.)
    """

    wants_reports = True

    def __init__(self, probes: int = 3, size: int = 16, age: float = 1.0, hot: float = 0.84) -> None:
        if probes < 1:
            raise ValueError(f"probes is {probes}: ask 1 server at least")
        if size < 2:
            raise ValueError(f"size is {size}: two probes are needed to compare")
        if not 0 <= hot <= 1:
            raise ValueError(f"hot is {hot}: use a quantile from 0 to 1")
        self.probes, self.size, self.age, self.hot = probes, size, age, hot
        self._pool: deque[_Probe] = deque()  # oldest first
        self._recent: deque[int] = deque()  # in flight, as the last probes found it
        self._loads: list[int] = []  # the same in order of size
        self._members: frozenset[Backend] = frozenset()
        self._worst_next = False

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._members = frozenset(backends)
        self._pool = deque(p for p in self._pool if p.backend in self._members)

    @property
    def _most_uses(self) -> float:
        """So that a pool of this size, with so many coming and one leaving a pick, does not run dry."""
        left = (1 - self.size / max(len(self._members), self.size + 1)) * self.probes - 1
        return max(1.0, 2 / left) if left > 0 else 4.0

    def _lexicographic(self, probes: Sequence[_Probe]) -> _Probe:
        """The hot-cold rule."""
        hot = self._loads[min(len(self._loads) - 1, int(self.hot * len(self._loads)))]
        if cold := [p for p in probes if p.in_flight <= hot]:
            return min(cold, key=lambda p: p.latency)
        return min(probes, key=lambda p: p.in_flight)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        while self._pool and self._pool[0].when < now - self.age:
            self._pool.popleft()
        probes = self._pool
        usable = self._usable(backends, now)
        if len(usable) < 2:
            return backends[int(self.rng.random() * len(backends))]
        best = self._lexicographic(usable)
        probes.remove(best)
        if best.uses + 1 < self._most_uses:
            # Counts what it is about to get; goes back where it was in time.
            probes.append(best._replace(in_flight=best.in_flight + 1, uses=best.uses + 1))
            self._pool = deque(sorted(probes, key=lambda p: p.when))
        if len(self._pool) > 2:
            self._remove_one()
        return best.backend

    def _usable(self, backends: Sequence[Backend], now: float) -> list[_Probe]:
        """Fresh ones; in a retry `backends` are fewer than the members."""
        fresh = [p for p in self._pool if p.when >= now - self.age]
        return fresh if len(backends) == len(self._members) else [p for p in fresh if p.backend in backends]

    def _remove_one(self) -> None:
        """The oldest and the worst in turn: else the bad news would stay, as nobody uses them up."""
        self._worst_next = not self._worst_next
        if self._worst_next:
            self._pool.remove(max(self._pool, key=lambda p: (p.in_flight, p.latency)))
        else:
            self._pool.popleft()

    def probe_targets(self, backends: Sequence[Backend], now: float) -> Sequence[Backend]:
        return self.rng.sample(backends, min(self.probes, len(backends)))

    def on_report(self, backend: Backend, load: LoadReport, now: float, probed: bool = False) -> None:
        # Not what comes with answers: those who get much would be heard of most, and get more.
        if probed and backend in self._members:
            self._pool.append(_Probe(backend, load.in_flight, load.latency, now, 0))
            if len(self._pool) > self.size:
                self._pool.popleft()
            self._recent.append(load.in_flight)
            insort(self._loads, load.in_flight)
            if len(self._recent) > RECENT:
                del self._loads[bisect_left(self._loads, self._recent.popleft())]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        usable = self._usable(backends, now)
        if len(usable) < 2:
            with same_dice(self.rng):
                place = int(self.rng.random() * len(backends))
            return Why("too few fresh probes: chance decides", place=place, places=len(backends))
        best = self._lexicographic(usable)
        return Why(
            f"hot-cold: {best.backend.name}, {best.in_flight} in flight, {best.latency:.3g} s; in flight",
            {p.backend.name: float(p.in_flight) for p in usable},
        )


class ChoiceOfTwo(_FewLooks):
    """The better of two by utilisation, own count and failures together; newcomers are on probation.

    What a server says of its utilisation counts less the older it is (nothing after `stale` seconds). A
    server that has not answered yet gets one request at a time, and for `warmup` seconds it looks worse
    than it is. (Netflix, "Rethinking Netflix's Edge Load Balancing", 2018: 30 s, 90 s.)
    """

    wants_reports = True

    def __init__(self, stale: float = 30.0, warmup: float = 90.0, full: int = 100) -> None:
        if full < 1:
            raise ValueError(f"full is {full}: how many in flight count as busy, at least 1")
        self.stale, self.warmup, self.full = stale, warmup, full
        self._said: dict[Backend, tuple[float, float]] = {}  # utilisation, when
        self._failing: dict[Backend, float] = {}  # share of failures, moving average
        self._since: dict[Backend, float | None] = {}  # its first answer; None before

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._since = {b: self._since.get(b) for b in backends}
        self._said = {b: said for b, said in self._said.items() if b in self._since}
        self._failing = {b: self._failing.get(b, 0.0) for b in backends}

    def score(self, backend: Backend, now: float) -> float:
        since = self._since.get(backend)
        if since is None:
            return 1e9 + backend.in_flight if backend.in_flight else -1.0  # one look, then wait
        said, when = self._said.get(backend, (0.0, now))
        said *= max(0.0, 1 - (now - when) / self.stale)
        young = max(0.0, 1 - (now - since) / self.warmup)
        mine = backend.in_flight / backend.weight / self.full
        return said + mine + self._failing.get(backend, 0.0) + 0.1 * young

    def on_report(self, backend: Backend, load: LoadReport, now: float, probed: bool = False) -> None:
        if backend in self._since:
            self._said[backend] = load.utilisation, now

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if backend not in self._since or ok is None:
            return
        if self._since[backend] is None:
            self._since[backend] = now
        failing = self._failing[backend]
        self._failing[backend] = failing + 0.1 * ((not ok) - failing)


class ClientSideWeighted(Balancer):
    """Weights from what servers report: answers a second / (utilisation + penalty x their share of errors).

    Who does much with little effort gets more. A new report counts after `blackout` seconds, a silent
    server's for `expires` seconds; who has no weight gets the mean of the others. Weights change every
    `update` seconds, turns are dealt out by earliest deadline. (gRFC A58; Envoy
    client_side_weighted_round_robin: 10 s, 180 s, 1 s, penalty 1.)
    """

    wants_reports = True

    def __init__(
        self, blackout: float = 10.0, expires: float = 180.0, update: float = 1.0, penalty: float = 1.0
    ) -> None:
        if not update > 0:
            raise ValueError(f"update is {update}: use seconds above 0")
        self.blackout, self.expires, self.update, self.penalty = blackout, expires, update, penalty
        self._reports: dict[Backend, tuple[float, float, float]] = {}  # weight, first and last report
        self._weights: dict[Backend, float] = {}
        self._due: list[tuple[float, int, Backend]] = []
        self._turn = 0
        self._next_update = 0.0
        self._now = 0.0

    def rebuild(self, backends: Sequence[Backend]) -> None:
        members = set(backends)
        self._reports = {b: r for b, r in self._reports.items() if b in members}
        known = {b: due for due, _, b in self._due}
        self._weights = {b: self._weights.get(b, 1.0) for b in backends}
        self._due = []
        for backend in backends:
            self._turn += 1
            due = known.get(backend, self._now + 1 / self._weights[backend])
            self._due.append((due, self._turn, backend))
        heapify(self._due)

    def _weighed(self, now: float) -> dict[Backend, float]:
        fresh = {
            b: weight
            for b, (weight, first, last) in self._reports.items()
            if now - first >= self.blackout and now - last < self.expires
        }
        # Two that are known make a comparison.
        mean = fmean(fresh.values()) if len(fresh) >= 2 else 0.0
        return {b: fresh.get(b, mean) / mean if mean else 1.0 for b in self._weights}

    def _queue(self, weights: dict[Backend, float]) -> list[tuple[float, int, Backend]]:
        """When each is due by these weights: who has become heavy does not wait for a light one's turn."""
        return [(min(due, self._now + 1 / weights[b]), turn, b) for due, turn, b in self._due]

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        if now >= self._next_update:
            self._weights = self._weighed(now)
            self._due = self._queue(self._weights)
            heapify(self._due)
            self._next_update = now + self.update
        while True:
            self._now, _, backend = self._due[0]
            self._turn += 1
            heapreplace(self._due, (self._now + 1 / self._weights[backend], self._turn, backend))
            if len(backends) == len(self._due) or backend in backends:  # fewer: a retry
                return backend

    def on_report(self, backend: Backend, load: LoadReport, now: float, probed: bool = False) -> None:
        if backend not in self._weights or not load.utilisation or not load.rate:
            return
        weight = load.rate / (load.utilisation + self.penalty * load.errors / load.rate)
        _, first, last = self._reports.get(backend, (0.0, now, now))
        if now - last >= self.expires:
            first = now
        self._reports[backend] = weight, first, now

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        weights = self._weighed(now) if now >= self._next_update else self._weights
        return Why("when each is due", {b.name: due for due, _, b in self._queue(weights)}, "lowest")

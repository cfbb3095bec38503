"""Algorithms that use the servers' own load reports, not only what one balancer can count.

A balancer knows its own requests. With several balancers each knows a part, and only the server knows its
whole load: it reports it (`LoadReport`) with its answers, or in answer to a probe.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping, Sequence
from heapq import heapify, heapreplace
from math import exp
from statistics import fmean
from typing import NamedTuple

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why, _Rotation, restoring
from lbkit.core.balance.power_of_two import MAX_DRAWS, _SampledChoice
from lbkit.core.meter import LoadReport
from lbkit.core.options import number, whole

RECENT = 128  # latest probes, from which the hot quantile is taken


class _Probe(NamedTuple):
    backend: Backend
    in_flight: int
    latency: float
    when: float
    uses: int


@mypyc_attr(allow_interpreted_subclasses=True)
class Prequal(Balancer):
    """The fastest backend among recent probes that are not hot; if all are hot, the least loaded.

    A probe is hot when its server has more in flight than the `hot` quantile of the latest probes. A probe is
    used a few times at most, and each use adds one to its in-flight count; it expires after `age` seconds;
    and each pick drops the worst or the oldest. So balancers do not herd to the same good news. With fewer
    than two probes the choice is random. (Wydrowski et al., "Load is not what you should balance", NSDI 2024:
    3 probes a request, pool of 16, 1 s, one removed a request, Q_RIF 0.84.)

    The latency that an idle server reports is old news: it counts less by the factor e in `decay` seconds. So
    a server that was slow is tried again; with a `decay` of inf, it may never be while load is low.
    """

    wants_reports = True

    def __init__(
        self, probes: int = 3, size: int = 16, age: float = 1.0, hot: float = 0.84, decay: float = 3.0
    ) -> None:
        whole(1, 1000, probes=probes)
        whole(2, 1000, size=size)  # 2, to have two probes to compare
        number(0, above=True, age=age)
        number(0, 1, hot=hot)
        number(0, above=True, infinite=True, decay=decay)
        self.probes, self.size, self.age, self.hot, self.decay = probes, size, age, hot, decay
        self._pool: deque[_Probe] = deque()  # oldest first
        self._recent: deque[int] = deque()  # in flight, in the latest probes
        self._loads: list[int] = []  # the same, sorted
        self._members: frozenset[Backend] = frozenset()
        self._worst_next = False

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._members = frozenset(backends)
        self._pool = deque(p for p in self._pool if p.backend in self._members)

    @property
    def _max_uses(self) -> float:
        """Return how often to use a probe, so that the pool does not run dry."""
        left = (1 - self.size / max(len(self._members), self.size + 1)) * self.probes - 1
        return max(1.0, 2 / left) if left > 0 else 4.0

    def _hot_cold(self, probes: Sequence[_Probe]) -> _Probe:
        """Return the best probe by the hot-cold rule."""
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
        best = self._hot_cold(usable)
        probes.remove(best)
        if best.uses + 1 < self._max_uses:
            # Count the request that it is about to get; keep the pool in order of time.
            probes.append(best._replace(in_flight=best.in_flight + 1, uses=best.uses + 1))
            self._pool = deque(sorted(probes, key=lambda p: p.when))
        if len(self._pool) > 2:
            self._remove_one()
        return best.backend

    def _usable(self, backends: Sequence[Backend], now: float) -> list[_Probe]:
        """Return the fresh probes of `backends`, which are fewer than the members in a retry."""
        fresh = [p for p in self._pool if p.when >= now - self.age]
        return fresh if len(backends) == len(self._members) else [p for p in fresh if p.backend in backends]

    def _remove_one(self) -> None:
        """Drop the worst and the oldest in turn: bad probes are never picked, so they would stay."""
        self._worst_next = not self._worst_next
        if self._worst_next:
            self._pool.remove(max(self._pool, key=lambda p: (p.in_flight, p.latency)))
        else:
            self._pool.popleft()

    def probe_targets(self, backends: Sequence[Backend], now: float) -> Sequence[Backend]:
        return self.rng.sample(backends, min(self.probes, len(backends)))

    def on_report(self, backend: Backend, load: LoadReport, now: float, probed: bool = False) -> None:
        # Reports with answers are ignored: busy backends would report most often, and get even more.
        if probed and backend in self._members:
            latency = load.latency * exp(-load.idle / self.decay)
            self._pool.append(_Probe(backend, load.in_flight, latency, now, 0))
            if len(self._pool) > self.size:
                self._pool.popleft()
            self._recent.append(load.in_flight)
            insort(self._loads, load.in_flight)
            if len(self._recent) > RECENT:
                del self._loads[bisect_left(self._loads, self._recent.popleft())]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        usable = self._usable(backends, now)
        if len(usable) < 2:
            with restoring(self.rng):
                place = int(self.rng.random() * len(backends))
            return Why("too few fresh probes: drawn at random", place=place, places=len(backends))
        best = self._hot_cold(usable)
        return Why(
            f"hot-cold: {best.backend.name}, {best.in_flight} in flight, {best.latency:.3g} s; in flight",
            {p.backend.name: float(p.in_flight) for p in usable},
        )


@mypyc_attr(allow_interpreted_subclasses=True)
class ChoiceOfTwo(_SampledChoice):
    """The better of two random backends by utilisation, in flight and failures; new ones on probation.

    A reported utilisation and a failure count less the older they are (nothing after `stale` seconds; with a
    `stale` of inf they count for ever, and a server that failed may never be tried again). A server that has
    not answered yet gets one request at a time, and for `warmup` seconds after its first answer its score is
    raised. If many servers are bad, random pairs often have two bad ones: so a pair in which each is on
    probation, busier than `busy` or fails more than `failing` of its requests is drawn again, up to `draws`
    draws in all. Then the better of the last pair gets the request. (Netflix, "Rethinking Netflix's Edge Load
    Balancing", 2018: 30 s, 90 s; its thresholds are not published.)
    """

    wants_reports = True
    scored = "utilisation + failures + in flight / full"

    def __init__(
        self,
        stale: float = 30.0,
        warmup: float = 90.0,
        full: int = 100,
        busy: float = 0.95,
        failing: float = 0.5,
        draws: int = 3,
    ) -> None:
        number(0, above=True, infinite=True, stale=stale)
        number(0, warmup=warmup)
        whole(1, full=full)
        number(0, 1, busy=busy, failing=failing)
        whole(1, MAX_DRAWS, draws=draws)
        self.stale, self.warmup, self.full = stale, warmup, full
        self.busy, self.failing, self.draws = busy, failing, draws
        self._reported: dict[Backend, tuple[float, float]] = {}  # utilisation, time of the report
        self._failures: dict[
            Backend, tuple[float, float]
        ] = {}  # average failure rate, time of the latest answer
        self._first_answer: dict[Backend, float | None] = {}  # time of the first answer; None before

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._first_answer = {b: self._first_answer.get(b) for b in backends}
        self._reported = {b: report for b, report in self._reported.items() if b in self._first_answer}
        self._failures = {b: rate for b, rate in self._failures.items() if b in self._first_answer}

    def score(self, backend: Backend, now: float) -> float:
        since = self._first_answer.get(backend)
        if since is None:
            return 1e9 + backend.in_flight if backend.in_flight else -1.0  # one request, then wait
        probation = max(0.0, 1 - (now - since) / self.warmup) if self.warmup else 0.0
        fading = self._faded(self._reported, backend, now) + self._faded(self._failures, backend, now)
        # Averages are never quite equal: what is less than a request in flight decides nothing.
        rounded = round((fading + 0.1 * probation) * self.full)
        return (rounded + backend.in_flight / backend.weight) / self.full

    def compared(self, backends: Sequence[Backend], now: float) -> Sequence[Backend]:
        sampled = self.sample(backends)
        for _ in range(self.draws - 1):
            if any(self._passes(b, now) for b in sampled):
                break
            sampled = self.sample(backends)
        return [b for b in sampled if self._passes(b, now)] or sampled

    def _passes(self, backend: Backend, now: float) -> bool:
        """Return whether a backend is good enough to be compared; always if `busy` and `failing` are 1."""
        if self._first_answer.get(backend) is None:
            return not backend.in_flight
        return (
            self._faded(self._failures, backend, now) <= self.failing
            and self._faded(self._reported, backend, now) <= self.busy
        )

    def _faded(self, known: Mapping[Backend, tuple[float, float]], backend: Backend, now: float) -> float:
        """Return what is known of a backend, less for its age; 0 if nothing is."""
        value, when = known.get(backend, (0.0, now))
        return value * max(0.0, 1 - (now - when) / self.stale)

    def on_report(self, backend: Backend, load: LoadReport, now: float, probed: bool = False) -> None:
        if backend in self._first_answer:
            self._reported[backend] = load.utilisation, now

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if backend not in self._first_answer or ok is None:
            return
        if self._first_answer[backend] is None:
            self._first_answer[backend] = now
        rate = self._faded(self._failures, backend, now)
        self._failures[backend] = rate + 0.1 * ((not ok) - rate), now


@mypyc_attr(allow_interpreted_subclasses=True)
class ClientSideWeighted(_Rotation):
    """Weighted round robin by reported load: answers a second / (utilisation + penalty x share of errors).

    A server that does more work at less utilisation gets more. Reports count from `blackout` seconds after
    the first, and until `expires` seconds after the last; a backend without a weight gets the mean of the
    others. Weights change every `update` seconds; turns go by earliest deadline first. (gRFC A58; Envoy
    client_side_weighted_round_robin: 10 s, 180 s, 1 s, penalty 1.)
    """

    wants_reports = True

    def __init__(
        self, blackout: float = 10.0, expires: float = 180.0, update: float = 1.0, penalty: float = 1.0
    ) -> None:
        number(0, infinite=True, blackout=blackout, expires=expires)
        number(0, above=True, update=update)
        number(0, penalty=penalty)
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

    def _weights_at(self, now: float) -> dict[Backend, float]:
        fresh = {
            b: weight
            for b, (weight, first, last) in self._reports.items()
            if now - first >= self.blackout and now - last < self.expires
        }
        # Weights are relative: at least two are needed.
        mean = fmean(fresh.values()) if len(fresh) >= 2 else 0.0
        return {b: fresh.get(b, mean) / mean if mean else 1.0 for b in self._weights}

    def _deadlines(self, weights: dict[Backend, float]) -> list[tuple[float, int, Backend]]:
        """Return the deadlines by these weights: a backend that became heavier is due earlier."""
        return [(min(due, self._now + 1 / weights[b]), turn, b) for due, turn, b in self._due]

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        if now >= self._next_update:
            self._weights = self._weights_at(now)
            self._due = self._deadlines(self._weights)
            heapify(self._due)
            self._next_update = now + self.update
        while True:
            self._now, _, backend = self._due[0]
            self._turn += 1
            heapreplace(self._due, (self._now + 1 / self._weights[backend], self._turn, backend))
            if len(backends) == len(self._due) or backend in backends:  # fewer in a retry
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
        weights = self._weights_at(now) if now >= self._next_update else self._weights
        return Why(
            "deadline of the next turn", {b.name: due for due, _, b in self._deadlines(weights)}, "lowest"
        )

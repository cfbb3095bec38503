"""Random choice, plain and weighted, and weighted with fewer requests to backends that fail."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from statistics import median

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why, restoring
from lbkit.core.options import number, whole


@mypyc_attr(allow_interpreted_subclasses=True)
class Random(Balancer):
    """Any backend, all with the same probability. Keeps no state, so several proxies need not coordinate."""

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return backends[int(self.rng.random() * len(backends))]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        with restoring(self.rng):
            return Why("drawn at random", place=int(self.rng.random() * len(backends)), places=len(backends))


@mypyc_attr(allow_interpreted_subclasses=True)
class WeightedRandom(Balancer):
    """Any backend, with a probability in proportion to weight. O(log n): a bisect in the sums of weights."""

    by_weight = True

    def __init__(self) -> None:
        self._cumulative: list[float] = []

    def weight(self, backend: Backend) -> float:
        """Return the weight in the draw."""
        return backend.weight

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._cumulative = list(accumulate(self.weight(b) for b in backends))

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        sums = self._cumulative
        if len(backends) != len(sums):  # a retry, among fewer
            sums = list(accumulate(self.weight(b) for b in backends))
        return backends[min(bisect_right(sums, self.rng.random() * sums[-1]), len(sums) - 1)]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        weights = {b.name: self.weight(b) for b in backends}
        with restoring(self.rng):
            return Why("drawn at random on the sum of these weights", weights, place=self.rng.random())


@mypyc_attr(allow_interpreted_subclasses=True)
class AnomalyMitigation(WeightedRandom):
    """Weighted random choice that sends less to backends which fail more than the others.

    After every `window` seconds, a backend with at least `min_failures` failures and an error rate above
    `excess` times the median of the pool gets half of its share, down to `floor` of its weight; any other
    gets twice its share, up to its whole weight. It counts real requests, so it needs no probes. (After AWS's
    description of ALB's weighted_random with anomaly mitigation, which gives no formula: window, factors and
    floor are ours.)
    """

    by_weight = False

    name = "anomaly_mitigation"

    def __init__(
        self, window: float = 5.0, excess: float = 3.0, min_failures: int = 5, floor: float = 1 / 64
    ) -> None:
        number(0, above=True, window=window)
        number(1, excess=excess)
        whole(0, min_failures=min_failures)
        number(0, 1, above=True, floor=floor)  # above 0, so that a backend is tried again
        super().__init__()
        self.window, self.excess, self.min_failures, self.floor = window, excess, min_failures, floor
        self._shares: dict[Backend, float] = {}  # factor on its weight
        self._outcomes: dict[Backend, list[int]] = {}  # answers and errors in this window
        self._window_end = 0.0

    def weight(self, backend: Backend) -> float:
        return backend.weight * self._shares.get(backend, 1.0)

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._shares = {b: self._shares.get(b, 1.0) for b in backends}
        self._outcomes = {b: self._outcomes.get(b, [0, 0]) for b in backends}
        super().rebuild(backends)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        if now >= self._window_end:
            self._shares = self._next_shares()
            self._outcomes = {b: [0, 0] for b in self._outcomes}
            self._window_end = now + self.window
            self.rebuild(tuple(self._outcomes))
        return super().pick(backends, key, now)

    def _next_shares(self) -> dict[Backend, float]:
        """Return each backend's share for the next window."""
        rates = {b: errors / answers for b, (answers, errors) in self._outcomes.items() if answers}
        usual = median(rates.values()) if rates else 0.0
        shares = {}
        for backend, (_, errors) in self._outcomes.items():
            bad = errors >= self.min_failures and rates[backend] > self.excess * usual
            share = self._shares[backend] * (0.5 if bad else 2.0)
            shares[backend] = min(1.0, max(self.floor, share))
        return shares

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        shares = self._next_shares() if now >= self._window_end else self._shares
        why = super().explain(backends, key, now)
        return replace(why, scores={b.name: b.weight * shares[b] for b in backends})

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if ok is not None and backend in self._outcomes:
            self._outcomes[backend][0] += 1
            self._outcomes[backend][1] += not ok

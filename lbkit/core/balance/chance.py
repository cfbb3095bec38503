"""Throwing dice."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate
from statistics import median

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why


@contextmanager
def same_dice(rng: random.Random) -> Iterator[None]:
    """What is thrown inside will be thrown again afterwards."""
    state = rng.getstate()
    try:
        yield
    finally:
        rng.setstate(state)


class Random(Balancer):
    """Any backend, all equally likely. Needs no state, so many proxies agree without talking."""

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return backends[int(self.rng.random() * len(backends))]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        with same_dice(self.rng):
            return Why("thrown", place=int(self.rng.random() * len(backends)), places=len(backends))


class WeightedRandom(Balancer):
    """Any backend, with chances in proportion to weight. O(log n): a bisect in the sums of the weights."""

    def __init__(self) -> None:
        self._upto: list[float] = []

    def weight(self, backend: Backend) -> float:
        """In the draw."""
        return backend.weight

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._upto = list(accumulate(self.weight(b) for b in backends))

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        upto = self._upto
        if len(backends) != len(upto):  # a retry, among fewer
            upto = list(accumulate(self.weight(b) for b in backends))
        return backends[min(bisect_right(upto, self.rng.random() * upto[-1]), len(upto) - 1)]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        weights = {b.name: self.weight(b) for b in backends}
        with same_dice(self.rng):
            return Why("thrown where these lie side by side", weights, place=self.rng.random())


class AnomalyMitigation(WeightedRandom):
    """Weighted random that steers away from backends which fail more than the others.

    Every `window` seconds, whoever failed at least `least` times and at over `excess` times the median
    rate of the pool has its chance halved, down to `floor` of its weight; whoever behaves gets it doubled,
    up to the whole. It goes by errors the clients saw, so it needs no probes. (After what AWS says of ALB's
    weighted_random with anomaly mitigation, which gives no formula: window, factors and floor are ours.)
    """

    name = "anomaly_mitigation"

    def __init__(
        self, window: float = 5.0, excess: float = 3.0, least: int = 5, floor: float = 1 / 64
    ) -> None:
        if not window > 0:
            raise ValueError(f"window is {window}: use seconds above 0")
        if not 0 < floor <= 1:
            raise ValueError(f"floor is {floor}: use a share from above 0, so that it is asked again, to 1")
        super().__init__()
        self.window, self.excess, self.least, self.floor = window, excess, least, floor
        self._share: dict[Backend, float] = {}  # of its weight that it is given
        self._seen: dict[Backend, list[int]] = {}  # answers and errors in this window
        self._until = 0.0

    def weight(self, backend: Backend) -> float:
        return backend.weight * self._share.get(backend, 1.0)

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._share = {b: self._share.get(b, 1.0) for b in backends}
        self._seen = {b: self._seen.get(b, [0, 0]) for b in backends}
        super().rebuild(backends)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        if now >= self._until:
            self._share = self._judged()
            self._seen = {b: [0, 0] for b in self._seen}
            self._until = now + self.window
            self.rebuild(tuple(self._seen))
        return super().pick(backends, key, now)

    def _judged(self) -> dict[Backend, float]:
        """The shares for the next window."""
        rates = {b: errors / answers for b, (answers, errors) in self._seen.items() if answers}
        usual = median(rates.values()) if rates else 0.0
        shares = {}
        for backend, (_, errors) in self._seen.items():
            bad = errors >= self.least and rates[backend] > self.excess * usual
            share = self._share[backend] * (0.5 if bad else 2.0)
            shares[backend] = min(1.0, max(self.floor, share))
        return shares

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        shares = self._judged() if now >= self._until else self._share
        why = super().explain(backends, key, now)
        return replace(why, scores={b.name: b.weight * shares[b] for b in backends})

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if ok is not None and backend in self._seen:
            self._seen[backend][0] += 1
            self._seen[backend][1] += not ok


class _FewLooks(Balancer):
    """Draws a few backends, and takes the one with the lowest score. The first wins ties."""

    def look(self, backends: Sequence[Backend]) -> Sequence[Backend]:
        """Whom to compare: two different ones."""
        n = len(backends)
        if n == 1:
            return backends
        i = int(self.rng.random() * n)
        j = int(self.rng.random() * (n - 1))
        if j >= i:
            j += 1  # skips i: drawn with replacement, one look in n would be wasted
        return backends[i], backends[j]

    def score(self, backend: Backend, now: float) -> float:
        return backend.in_flight / backend.weight

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        looked = self.look(backends)
        return looked[0] if len(looked) == 1 else min(looked, key=lambda b: self.score(b, now))

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        with same_dice(self.rng):
            looked = self.look(backends)
        return Why("of those drawn", {b.name: self.score(b, now) for b in looked}, "lowest")


class PowerOfTwo(_FewLooks):
    """The less loaded of two different random backends ("power of two choices").

    Two looks give nearly all that looking at everybody gives, and no herd
    runs to the one that looks best. (Mitzenmacher, IEEE TPDS 12(10), 2001.)
    """

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        if len(backends) == 1:
            return backends[0]
        a, b = self.look(backends)
        return a if a.in_flight * b.weight <= b.in_flight * a.weight else b


class PowerOfChoices(_FewLooks):
    """The least loaded of `choices` random backends, drawn with `replacement` or without.

    With 2 it is power of two choices; each further look helps less, and with all of them it is a
    scan, with the herd that comes of it when several proxies do so. `weighted`: heavier ones are drawn more
    often, which keeps shares in proportion when nobody is busy. (Mitzenmacher, 2001; Envoy least_request
    `choice_count`; Caddy `random_choose`; HAProxy `random(n)`, which draws by weight.)
    """

    def __init__(self, choices: int = 3, replacement: bool = False, weighted: bool = False) -> None:
        if choices < 1:
            raise ValueError(f"choices is {choices}: look at 1 backend at least")
        self.choices = choices
        self.replacement = replacement
        self.weighted = weighted
        self._upto: list[float] = []

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._upto = list(accumulate(b.weight for b in backends))

    def look(self, backends: Sequence[Backend]) -> Sequence[Backend]:
        sums = self._upto if self.weighted else None
        if sums and len(sums) != len(backends):  # a retry, among fewer
            sums = list(accumulate(b.weight for b in backends))
        if self.replacement:
            return self.rng.choices(backends, cum_weights=sums, k=self.choices)
        if not self.weighted:
            return self.rng.sample(backends, min(self.choices, len(backends)))
        # Very unequal weights could draw the same one for ever: four times as many draws have to do.
        drawn = self.rng.choices(backends, cum_weights=sums, k=4 * self.choices)
        return list(dict.fromkeys(drawn))[: self.choices]

"""Throwing dice."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import accumulate

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer


class Random(Balancer):
    """Any backend, all equally likely. Needs no state, so many proxies agree without talking."""

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return backends[int(self.rng.random() * len(backends))]


class PowerOfTwo(Balancer):
    """The less loaded of two different random backends ("power of two choices").

    Two looks give nearly all that looking at everybody gives, and no herd
    runs to the one that looks best. (Mitzenmacher, IEEE TPDS 12(10), 2001.)
    """

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        n = len(backends)
        if n == 1:
            return backends[0]
        i = int(self.rng.random() * n)
        j = int(self.rng.random() * (n - 1))
        if j >= i:
            j += 1  # skips i: drawn with replacement, one look in n would be wasted
        a, b = backends[i], backends[j]
        return a if a.in_flight * b.weight <= b.in_flight * a.weight else b


class WeightedRandom(Balancer):
    """Any backend, with chances in proportion to weight. O(log n): a bisect in the sums of the weights."""

    def __init__(self) -> None:
        self._upto: list[float] = []

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._upto = list(accumulate(b.weight for b in backends))

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        upto = self._upto
        return backends[min(bisect_right(upto, self.rng.random() * upto[-1]), len(upto) - 1)]

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        others = [b for b in backends if b not in exclude]
        return self.rng.choices(others, [b.weight for b in others])[0]


class PowerOfChoices(Balancer):
    """The least loaded of `choices` random backends, drawn with `replacement` or without.

    With 2 it is power of two choices; each further look helps less, and with all of them it is a
    scan, with the herd that comes of it when several proxies do so. (Mitzenmacher, 2001; Envoy least_request
    `choice_count`; Caddy `random_choose`.)
    """

    def __init__(self, choices: int = 3, replacement: bool = False) -> None:
        if choices < 1:
            raise ValueError(f"choices is {choices}: look at 1 backend at least")
        self.choices = choices
        self.replacement = replacement

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        if self.replacement:
            looked = self.rng.choices(backends, k=self.choices)
        else:
            looked = self.rng.sample(backends, min(self.choices, len(backends)))
        return min(looked, key=lambda b: b.in_flight / b.weight)

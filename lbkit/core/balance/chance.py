"""Throwing dice."""

from __future__ import annotations

from collections.abc import Sequence

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

"""Subsetting: each of many balancers uses only a part of a large pool."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Why
from lbkit.core.balance.grouped import Group, _Grouped
from lbkit.core.options import whole


@mypyc_attr(allow_interpreted_subclasses=True)
class Subset(_Grouped):
    """A subset of `size` backends for balancer `index` of `balancers`, and an algorithm within it.

    Thousands of balancers cannot keep connections to thousands of servers. `how`: with "random" each draws
    its own subset, which gives some servers many balancers and others none; with "aperture" balancers and
    servers stand on one ring and each uses the next `size` servers, so servers differ by one balancer at
    most, and by none where balancers x size is a multiple of the number of servers. (Deterministic aperture:
    Finagle; random subsetting: Site Reliability Engineering, 2016, chapter 20.)
    """

    numbered = True

    def __init__(
        self,
        size: int = 3,
        how: str = "aperture",
        index: int = 0,
        balancers: int = 1,
        inner: str = "least_connections",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        whole(1, size=size, balancers=balancers)
        whole(0, balancers - 1, index=index)
        if how not in ("random", "aperture"):
            raise ValueError(f"how is {how!r}: use 'random' or 'aperture'")
        super().__init__(inner, options)
        self.size, self.how, self.index, self.balancers = size, how, index, balancers
        self._mine: frozenset[Backend] = frozenset()

    def group(self, backend: Backend) -> bool:
        return backend in self._mine

    def shares(self) -> Mapping[Group, float]:
        return {True: 1.0}  # the others only after all of these were tried

    def rebuild(self, backends: Sequence[Backend]) -> None:
        candidates = self._all if self._members_known else backends  # an unhealthy one keeps its place
        self._mine = frozenset(self._subset(sorted(candidates, key=lambda b: b.name)))
        super().rebuild(backends)

    def _subset(self, backends: Sequence[Backend]) -> Sequence[Backend]:
        n = len(backends)
        size = min(self.size, n)
        if self.how == "random":
            return random.Random(f"subset {self.index}").sample(backends, size)
        first = self.index * n // self.balancers
        return [backends[(first + i) % n] for i in range(size)]

    def _group_reason(self, name: Group, why: Why) -> Why:
        return why if name else replace(why, rule=f"all of the subset are out; of the others {why.rule}")

"""Balancing in two steps: first a group of backends, then one in it, by any algorithm.

Groups are zones or levels of priority; the subsets of many balancers are groups, too, of which each balancer
sees one.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Collection, Hashable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from lbkit.core.backend import Backend, Intent
from lbkit.core.balance.base import Balancer, Why, make_balancer
from lbkit.core.meter import LoadReport

Group = Hashable


class _Grouped(Balancer):
    """Draws a group by its share of the traffic, and lets that group's own balancer choose."""

    def __init__(self, inner: str = "round_robin", options: Mapping[str, Any] | None = None) -> None:
        """`inner`: the algorithm within a group, with its `options`. Raises ValueError when there is none."""
        self._inner_name, self._options = inner, dict(options or {})
        model = self._make()
        self.keyed_by = model.keyed_by  # type: ignore[misc] # of this balancer, not of all
        self.hears = model.hears  # type: ignore[misc]
        self._inner: dict[Group, Balancer] = {}
        self._groups: dict[Group, tuple[Backend, ...]] = {}
        self._all: Sequence[Backend] = ()
        self._told = False
        self._names: list[Group] = []
        self._upto: list[float] = []

    def _make(self) -> Balancer:
        return make_balancer(self._inner_name, self.rng, **self._options)

    def group(self, backend: Backend) -> Group:
        raise NotImplementedError

    def shares(self) -> Mapping[Group, float]:
        """Of the traffic, by group; they need not add up to 1. A group that is not named gets nothing."""
        raise NotImplementedError

    def members(self, backends: Sequence[Backend]) -> None:
        self._all = [b for b in backends if b.intent is Intent.READY and b.weight > 0]
        self._told = True

    def rebuild(self, backends: Sequence[Backend]) -> None:
        if not self._told:
            self._all = backends
        groups: dict[Group, list[Backend]] = {}
        for backend in backends:
            groups.setdefault(self.group(backend), []).append(backend)
        self._groups = {name: tuple(group) for name, group in groups.items()}
        for name in self._inner.keys() | self._groups.keys():
            if name not in self._inner:
                self._inner[name] = self._make()
            self._inner[name].rebuild(self._groups.get(name, ()))
        shares = {name: share for name, share in self.shares().items() if name in groups and share > 0}
        self._names = list(shares or groups)
        self._upto = list(accumulate(shares.values() if shares else [1.0] * len(groups)))

    def available(self, group: Group) -> float:
        """Healthy share of a group's weight."""
        everybody = sum(b.weight for b in self._all if self.group(b) == group)
        return sum(b.weight for b in self._groups.get(group, ())) / everybody if everybody else 0.0

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        names = self._names
        name = names[0]
        if len(names) > 1:
            drawn = bisect_right(self._upto, self.rng.random() * self._upto[-1])
            name = names[min(drawn, len(names) - 1)]  # rounding may reach the end
        return self._inner[name].pick(self._groups[name], key, now)

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        # Groups in the order of their shares, as long as one has somebody who was not tried.
        sizes = dict(zip(self._names, self._upto, strict=True))
        for name in sorted(self._groups, key=lambda g: g not in sizes):
            group = self._groups[name]
            if any(b not in exclude for b in group):
                return self._inner[name].pick_except(group, exclude, key, now)
        raise AssertionError("the pool sees to it that not all are excluded")

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if inner := self._inner.get(self.group(backend)):
            inner.done(backend, latency, ok, now)

    def probe(self, backends: Sequence[Backend], now: float) -> Sequence[Backend]:
        return [b for name in self._names for b in self._inner[name].probe(self._groups[name], now)]

    def report(self, backend: Backend, load: LoadReport, now: float, asked: bool = False) -> None:
        if inner := self._inner.get(self.group(backend)):
            inner.report(backend, load, now, asked)

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        before = [0.0, *self._upto]
        shares = {str(n): u - b for n, u, b in zip(self._names, self._upto, before, strict=False)}
        return Why("a group drawn by its share, then one in it; shares", shares)


class PriorityLevels(_Grouped):
    """Level 0 gets everything while enough of it is healthy; what it cannot take goes to level 1, and so on.

    A level counts as whole while `overprovisioning` times its healthy share is 1 or more: with 1.4, up to
    28 % may be down before traffic moves. If all levels together are not whole, each gets in proportion to
    what it has. (Envoy, priority levels, overprovisioning factor 1.4.)
    """

    def __init__(
        self,
        inner: str = "round_robin",
        options: Mapping[str, Any] | None = None,
        overprovisioning: float = 1.4,
    ) -> None:
        if not overprovisioning >= 1:
            raise ValueError(f"overprovisioning is {overprovisioning}: use 1 or more")
        super().__init__(inner, options)
        self.overprovisioning = overprovisioning

    def group(self, backend: Backend) -> int:
        return backend.priority

    def shares(self) -> Mapping[Group, float]:
        left = 1.0
        shares: dict[Group, float] = {}
        for level in sorted({b.priority for b in self._all}):
            shares[level] = min(left, self.overprovisioning * self.available(level))
            left -= shares[level]
        return shares  # drawn in proportion, should they add up to less than 1


class LocalityWeighted(_Grouped):
    """Each zone gets in proportion to its whole weight, less only when many of it are down.

    So a zone keeps its traffic through small failures, and loses it step by step in a large one.
    (Envoy, locality weighted load balancing: weight x min(1, 1.4 x healthy share).)
    """

    def __init__(
        self,
        inner: str = "round_robin",
        options: Mapping[str, Any] | None = None,
        overprovisioning: float = 1.4,
    ) -> None:
        if not overprovisioning >= 1:
            raise ValueError(f"overprovisioning is {overprovisioning}: use 1 or more")
        super().__init__(inner, options)
        self.overprovisioning = overprovisioning

    def group(self, backend: Backend) -> str:
        return backend.zone

    def shares(self) -> Mapping[Group, float]:
        weights: dict[Group, float] = {}
        for backend in self._all:
            weights[backend.zone] = weights.get(backend.zone, 0.0) + backend.weight
        return {z: w * min(1.0, self.overprovisioning * self.available(z)) for z, w in weights.items()}


class ZoneAware(_Grouped):
    """Stays at `home` as far as that zone can bear it; the rest spills over to the others by their weight.

    `share` of all traffic starts at home (an equal part of the zones, unless given). While home has as much
    of the healthy weight, everything stays: no traffic between zones, which costs money and milliseconds.
    (Envoy, zone aware routing.)
    """

    def __init__(
        self,
        home: str = "",
        share: float | None = None,
        inner: str = "round_robin",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if share is not None and not 0 < share <= 1:
            raise ValueError(
                f"share is {share}: use the part of all traffic that starts at home, above 0 to 1"
            )
        super().__init__(inner, options)
        self.home, self.share = home, share

    def group(self, backend: Backend) -> str:
        return backend.zone

    def shares(self) -> Mapping[Group, float]:
        weights = {zone: sum(b.weight for b in group) for zone, group in self._groups.items()}
        total = sum(weights.values())
        if self.home not in weights or not total:
            return weights
        here = weights.pop(self.home)
        starts = self.share or 1 / (len({b.zone for b in self._all}) or 1)
        stays = min(1.0, here / total / starts)
        others = sum(weights.values())
        spill = {zone: (1 - stays) * w / others for zone, w in weights.items()} if others else {}
        return {self.home: stays, **spill}


class CrossZone(_Grouped):
    """Traffic comes in equal parts to the zones, and with `across` off stays where it came in.

    Off, two servers in one zone bear as much as eight in the other; on, all are alike. (AWS: on for ALB,
    off for NLB and GWLB unless asked for.)
    """

    def __init__(
        self, across: bool = True, inner: str = "round_robin", options: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(inner, options)
        self.across = across

    def group(self, backend: Backend) -> str:
        return "" if self.across else backend.zone

    def shares(self) -> Mapping[Group, float]:
        return dict.fromkeys(self._groups, 1.0)


class Subset(_Grouped):
    """Of a large pool, balancer `index` of `balancers` uses `size` backends, by default the least loaded.

    Thousands of clients cannot keep connections to thousands of servers. `how`: "random" lets each draw its
    own, which leaves some servers with many balancers and some with none; "aperture" puts balancers and
    servers on one ring and gives each the next `size`, so that all servers get the same. (Deterministic
    aperture: Finagle; random subsetting: Site Reliability Engineering, 2016, chapter 20.)
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
        if size < 1:
            raise ValueError(f"size is {size}: use at least 1 backend")
        if how not in ("random", "aperture"):
            raise ValueError(f"how is {how!r}: use 'random' or 'aperture'")
        if not 0 <= index < balancers:
            raise ValueError(f"index is {index}: balancers are numbered from 0 to {balancers - 1}")
        super().__init__(inner, options)
        self.size, self.how, self.index, self.balancers = size, how, index, balancers
        self._mine: frozenset[Backend] = frozenset()

    def group(self, backend: Backend) -> bool:
        return backend in self._mine

    def shares(self) -> Mapping[Group, float]:
        return {True: 1.0}  # the others are for when all of these were tried

    def rebuild(self, backends: Sequence[Backend]) -> None:
        everybody = self._all if self._told else backends  # a sick one keeps its place
        self._mine = frozenset(self._subset(sorted(everybody, key=lambda b: b.name)))
        super().rebuild(backends)

    def _subset(self, backends: Sequence[Backend]) -> Sequence[Backend]:
        n = len(backends)
        size = min(self.size, n)
        if self.how == "random":
            return random.Random(f"subset {self.index}").sample(backends, size)
        first = self.index * n // self.balancers
        return [backends[(first + i) % n] for i in range(size)]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        name = self._names[0]
        return self._inner[name].explain(self._groups[name], key, now)

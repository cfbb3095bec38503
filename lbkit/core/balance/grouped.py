"""Balancing in two steps: first a group of backends, then one in it, by any algorithm.

Groups are zones or levels of priority; the subsets of many balancers are groups, too, of which each balancer
sees one.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from statistics import fmean
from typing import Any

from lbkit.core.backend import Backend, Intent
from lbkit.core.balance.base import Balancer, Why, make_balancer
from lbkit.core.balance.chance import same_dice
from lbkit.core.balance.hashing import place64
from lbkit.core.meter import LoadReport

Group = Hashable


class _Grouped(Balancer):
    """Draws a group by its share of the traffic, and lets that group's own balancer choose.

    Where the key decides within a group, it decides which group, too: so a flow stays where it is.
    """

    def __init__(self, inner: str = "round_robin", options: Mapping[str, Any] | None = None) -> None:
        """`inner`: the algorithm within a group, with its `options`. Raises ValueError when there is none."""
        self._inner_name, self._options = inner, dict(options or {})
        model = self._make()
        self.keyed = model.keyed  # type: ignore[misc] # of this balancer, not of all
        self.keyed_by = model.keyed_by  # type: ignore[misc]
        self.wants_reports = model.wants_reports  # type: ignore[misc]
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
        """Share of a group's servers that may be picked."""
        everybody = sum(self.group(b) == group for b in self._all)
        return len(self._groups.get(group, ())) / everybody if everybody else 0.0

    def draw(self, key: str) -> Group:
        names = self._names
        if len(names) == 1:
            return names[0]
        # Another hash than the one within: by the same, a group would see one part of its ring only.
        thrown = place64(key) / 2**64 if self.keyed else self.rng.random()
        return names[min(bisect_right(self._upto, thrown * self._upto[-1]), len(names) - 1)]

    def draw_again(self, exclude: Collection[Backend], key: str) -> Group:
        """Where it was tried already, as long as somebody is left there; then elsewhere."""
        drawn, tried = self.draw(key), {self.group(b) for b in exclude}
        left = (name for name, group in self._groups.items() if any(b not in exclude for b in group))
        return min(left, key=lambda name: (name not in self._names, name not in tried, name != drawn))

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        name = self.draw(key)
        return self._inner[name].pick(self._groups[name], key, now)

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        name = self.draw_again(exclude, key)
        return self._inner[name].pick_except(self._groups[name], exclude, key, now)

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if inner := self._inner.get(self.group(backend)):
            inner.done(backend, latency, ok, now)

    def probe_targets(self, backends: Sequence[Backend], now: float) -> Sequence[Backend]:
        return [b for name in self._names for b in self._inner[name].probe_targets(self._groups[name], now)]

    def on_report(self, backend: Backend, load: LoadReport, now: float, probed: bool = False) -> None:
        if inner := self._inner.get(self.group(backend)):
            inner.on_report(backend, load, now, probed)

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        with same_dice(self.rng):
            name = self.draw(key)
            return self._said(name, self._inner[name].explain(self._groups[name], key, now))

    def explain_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Why:
        with same_dice(self.rng):
            name = self.draw_again(exclude, key)
            return self._said(name, self._inner[name].explain_except(self._groups[name], exclude, key, now))

    def _said(self, name: Group, why: Why) -> Why:
        """Why this group, before why this one in it."""
        before = [0.0, *self._upto]
        shares = ", ".join(
            f"{called(n)} {(upto - b) / self._upto[-1]:.0%}"
            for n, upto, b in zip(self._names, self._upto, before, strict=False)
        )
        how = "by the key" if self.keyed else "drawn"
        return replace(why, rule=f"group {called(name)}, {how} by share ({shares}); in it {why.rule}")


def called(group: Group) -> str:
    return str(group) or "-"  # a zone without a name


class PriorityLevels(_Grouped):
    """Level 0 gets everything while enough of it is healthy; what it cannot take goes to level 1, and so on.

    A level counts as whole while `overprovisioning` times its healthy share is 1 or more: with 1.4, up to
    28 % may be down before traffic moves. If all levels together are not whole, each gets in proportion to
    what it has; only then may a level panic, and take its sick servers, too. Do all, each gets in
    proportion to its size. (Envoy, priority levels, panic threshold; overprovisioning factor 1.4.)
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
        for level, healthy in health_of_levels(self._all).items():
            shares[level] = min(left, self.overprovisioning * healthy)
            left -= shares[level]
        if all(any(not b.healthy for b in self._groups.get(level, ())) for level in shares):
            return Counter(b.priority for b in self._all)  # all panic
        return shares  # drawn in proportion, should they add up to less than 1

    def panics(self, backends: Sequence[Backend], threshold: float) -> Collection[Backend]:
        health = health_of_levels(backends)
        if sum(min(1.0, self.overprovisioning * healthy) for healthy in health.values()) >= 1:
            return ()
        return [b for b in backends if health[b.priority] < threshold]


def health_of_levels(backends: Sequence[Backend]) -> dict[int, float]:
    """Healthy share of the servers, by level of priority."""
    levels: dict[int, list[bool]] = {}
    for backend in sorted(backends, key=lambda b: b.priority):
        levels.setdefault(backend.priority, []).append(backend.healthy)
    return {level: fmean(healthy) for level, healthy in levels.items()}


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
        weights = {zone: sum(b.weight for b in self._groups[zone]) for zone in sorted(self._groups, key=str)}
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

    A flow comes in at one zone's node: by its key, if that decides within the zone, too.
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
        return dict.fromkeys(sorted({self.group(b) for b in self._all}, key=str), 1.0)


class Subset(_Grouped):
    """Of a large pool, balancer `index` of `balancers` uses `size` backends, by default the least loaded.

    Thousands of clients cannot keep connections to thousands of servers. `how`: "random" lets each draw its
    own, which leaves some servers with many balancers and some with none; "aperture" puts balancers and
    servers on one ring and gives each the next `size`, so that servers differ by one balancer at most, and
    by none where balancers x size is a multiple of the servers. (Deterministic aperture: Finagle; random
    subsetting: Site Reliability Engineering, 2016, chapter 20.)
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

    def _said(self, name: Group, why: Why) -> Why:
        return why if name else replace(why, rule=f"all of the subset are out; of the others {why.rule}")

"""Zone aware routing: shares of traffic by zone, or traffic kept in the zone where it starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend
from lbkit.core.balance.grouped import Group, _Grouped, _Overprovisioned
from lbkit.core.options import number


@mypyc_attr(allow_interpreted_subclasses=True)
class ZoneAware(_Grouped):
    """Traffic stays in the zone `home` up to its capacity; the rest spills over to the others by weight.

    `share` is the part of all traffic that starts at home (by default, one part of as many as there are
    zones). While home has at least that share of the healthy weight, all of it stays there: traffic between
    zones costs money and milliseconds.
    (Envoy, zone aware routing.)
    """

    health_by = "zone"

    def __init__(
        self,
        home: str = "",
        share: float | None = None,
        inner: str = "round_robin",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if share is not None:
            number(0, 1, above=True, share=share)
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


@mypyc_attr(allow_interpreted_subclasses=True)
class LocalityWeighted(_Overprovisioned):
    """Each zone gets traffic in proportion to its weight, and less only when many of its servers are down.

    So a zone keeps its traffic through small failures, and loses it gradually in a large one.
    (Envoy, locality weighted load balancing: weight x min(1, 1.4 x healthy share).)
    """

    health_by = "zone"

    def group(self, backend: Backend) -> str:
        return backend.zone

    def shares(self) -> Mapping[Group, float]:
        weights: dict[Group, float] = {}
        for backend in self._all:
            weights[backend.zone] = weights.get(backend.zone, 0.0) + backend.weight
        return {z: w * self.capacity(self.available(z)) for z, w in weights.items()}


@mypyc_attr(allow_interpreted_subclasses=True)
class CrossZone(_Grouped):
    """Traffic arrives in equal parts at the zones' nodes; with `across` off it stays in its zone.

    With a keyed algorithm the key also decides at which zone's node a flow arrives. Off, two servers in one
    zone carry as much traffic as eight in another; on, all servers carry the same. (AWS: on by default for
    ALB, off for NLB and GWLB.)
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

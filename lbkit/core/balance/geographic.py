"""Geographic balancing: the client's place decides the region, and the region's own algorithm the server."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend, NoBackend
from lbkit.core.balance.base import Why
from lbkit.core.balance.grouped import Group, _Grouped, group_label
from lbkit.core.geo.atlas import Atlas
from lbkit.core.geo.region import NOWHERE, Region, RegionState, location_of
from lbkit.core.geo.steering import RULES, NoRegion, Steering, fence_of
from lbkit.core.options import number, texts
from lbkit.core.text import unknown


@mypyc_attr(allow_interpreted_subclasses=True)
class Geographic(_Grouped):
    """The region for the client's place: the nearest that is up, has room, and may have the client's data.

    Regions are the `zone`s of the backends; the key is the client's address. `rule`: "nearest", "latency"
    (estimated from the distance), "weighted" (by the weights of a region's backends) or "failover" (by
    `order`). With a `fence`, clients of a jurisdiction are served in the jurisdictions that it lists, or not
    at all. A region whose requests in flight reach its `capacity` overflows into the next. (DNS and global
    load balancers of clouds: latency, geolocation and failover routing; waterfall by region.)
    """

    keyed_by = "client"
    health_by = "zone"

    def __init__(
        self,
        regions: Mapping[str, Mapping[str, Any]] | None = None,
        clients: Mapping[str, Mapping[str, Any]] | None = None,
        rule: str = "nearest",
        fence: Mapping[str, Collection[str]] | None = None,
        order: Sequence[str] = (),
        least_healthy: float = 0.5,
        inner: str = "round_robin",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """`regions`: by zone, {"at": [latitude, longitude], "jurisdiction": "EU", "capacity": 100}; each zone
        of the backends, or none. `clients`: by network, the same without a capacity. `least_healthy`: the
        share of healthy backends below which a region is used only if all others are as bad.

        Raises ValueError, which names the option."""
        super().__init__(inner, options)
        self.keyed_by = "client"  # type: ignore[misc] # whatever the inner one goes by
        if not isinstance(rule, str) or rule not in RULES:
            raise ValueError(unknown(rule, RULES, "rule"))
        number(0, 1, least_healthy=least_healthy)
        self.rule, self.fence, self.order = rule, fence_of(fence or {}), tuple(texts("order", order))
        self.least_healthy = least_healthy
        self._places = {
            zone: location_of(f"regions.{zone}", table) for zone, table in (regions or {}).items()
        }
        self._capacity: dict[str, float] = {}
        for zone, table in (regions or {}).items():
            if (capacity := table.get("capacity")) is not None:
                number(0, **{f"regions.{zone}.capacity": capacity})
                self._capacity[zone] = capacity
        homes = {
            network: location_of(f"clients.{network}", table) for network, table in (clients or {}).items()
        }
        self._atlas = Atlas(homes)
        for zone in self.order:
            if zone not in self._places:
                raise ValueError(f"order: {unknown(zone, self._places, 'region')}")
        laws = sorted({at.jurisdiction for at in (*self._places.values(), *homes.values())} | {""})
        for client in self.fence:  # a wrong name would leave these clients without a fence
            if client not in laws:
                raise ValueError(f"fence: {unknown(client, laws[1:], 'jurisdiction')}")
        self._steering: Steering | None = None
        self._healthy: dict[str, float] = {}
        self._zones: dict[str, str] = {}  # by the name of the region

    def group(self, backend: Backend) -> str:
        return backend.zone

    def shares(self) -> Mapping[Group, float]:
        return dict.fromkeys(sorted(self._groups, key=str), 1.0)  # each may be chosen

    def rebuild(self, backends: Sequence[Backend]) -> None:
        super().rebuild(backends)
        weights: dict[str, float] = {}
        for backend in self._all:
            weights[backend.zone] = weights.get(backend.zone, 0.0) + backend.weight
        self._healthy = {zone: self.available(zone) for zone in weights}
        self._zones = {group_label(zone): zone for zone in weights}
        regions = [self._region(zone, weight) for zone, weight in sorted(weights.items())]
        there = {region.jurisdiction for region in regions}
        fence = {client: there & set(allowed) for client, allowed in self.fence.items()}
        order = [zone for zone in self.order if zone in weights] or [r.name for r in regions]
        self._steering = (
            Steering(regions, self.rule, fence=fence, order=order, least_healthy=self.least_healthy)
            if regions
            else None
        )

    def _region(self, zone: str, weight: float) -> Region:
        if self._places and zone not in self._places:
            raise ValueError(f"regions: {unknown(zone, self._places, 'zone')}; name those of all backends")
        at = self._places.get(zone, NOWHERE)
        limit = self._capacity.get(zone, inf)
        return Region(group_label(zone), at.place, at.jurisdiction, weight, limit)

    def _state(self, zone: str, exclude: Collection[Backend] = ()) -> RegionState:
        members = self._groups.get(zone, ())
        if exclude and all(backend in exclude for backend in members):
            return RegionState(healthy=0.0)  # nobody is left there
        load = sum(b.in_flight for b in members) if zone in self._capacity else 0
        return RegionState(self._healthy.get(zone, 0.0), load)

    def draw(self, key: str, exclude: Collection[Backend] = ()) -> Group:
        """Return the region of a client. Raises NoBackend if none may serve it."""
        at = self._atlas.locate(key) or NOWHERE
        states = {name: self._state(zone, exclude) for name, zone in self._zones.items()}
        assert self._steering
        try:
            return self._zones[self._steering.choose(key, at, states).name]
        except NoRegion as reason:
            raise NoBackend(str(reason)) from None

    def draw_again(self, exclude: Collection[Backend], key: str) -> Group:
        return self.draw(key, exclude)

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        try:
            return super().explain(backends, key, now)
        except NoBackend as reason:
            return Why(str(reason))

    def explain_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Why:
        try:
            return super().explain_except(backends, exclude, key, now)
        except NoBackend as reason:
            return Why(str(reason))

    def _group_reason(self, name: Group, why: Why) -> Why:
        return replace(why, rule=f"group {group_label(name)}, {self.rule}; in it {why.rule}")

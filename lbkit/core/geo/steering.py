"""Steering: which region serves a client.

A decision has three steps. A *fence* keeps only the regions that may have the client's data. A *rule* ranks
these for the client. The *state* of the regions then decides: regions that are down or full are skipped. The
fence comes first, so that no failure can move data across a border.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import log

from lbkit.core.geo.earth import distance, round_trip
from lbkit.core.geo.region import Location, Region, RegionState
from lbkit.core.hashing import hash64, mix64, place64
from lbkit.core.options import instances, number, table, texts
from lbkit.core.text import unknown

Rank = Callable[["Steering", str, Location], dict[str, float]]  # by region; the lowest comes first


class NoRegion(Exception):
    """No region may serve a client now: the message says why."""


def _distances(steering: Steering, client: str, at: Location) -> dict[str, float]:
    return {region.name: distance(at.place, region.place) for region in steering.regions}


def _latencies(steering: Steering, client: str, at: Location) -> dict[str, float]:
    measured = steering.latencies.get(client, {})
    return {
        region.name: measured.get(region.name, round_trip(at.place, region.place))
        for region in steering.regions
    }


def draw_lots(key: str, weights: Mapping[str, float]) -> dict[str, float]:
    """Return a number for each name of a weight above 0; the lowest wins, in proportion to weight.

    Weighted rendezvous hashing: a key changes its winner only if that one leaves, or a new one wins."""
    drawn = hash64(key)
    return {
        name: -log((mix64(drawn ^ place64(name)) + 0.5) / 2**64) / weight
        for name, weight in weights.items()
        if weight > 0
    }


def _lots(steering: Steering, client: str, at: Location) -> dict[str, float]:
    return draw_lots(client, {region.name: region.weight for region in steering.regions})


def _places_in_order(steering: Steering, client: str, at: Location) -> dict[str, float]:
    return {name: place for place, name in enumerate(steering.order)}


RULES: dict[str, Rank] = {
    "nearest": _distances,  # km
    "latency": _latencies,  # seconds; measured where they are known, else estimated from the distance
    "weighted": _lots,
    "failover": _places_in_order,  # the first of `order` that is up, for everybody
}


def fence_of(given: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
    """Return a fence. Raises ValueError unless it is a table of lists; a text such as "EU" is not a list."""
    pairs = table("fence", given).items()
    return {client: frozenset(texts(f"fence of {client!r}", allowed)) for client, allowed in pairs}


class Steering:
    """Chooses the region of each client; see the top of the module."""

    def __init__(
        self,
        regions: Sequence[Region],
        rule: str = "nearest",
        *,
        fence: Mapping[str, Collection[str]] | None = None,
        order: Sequence[str] = (),
        latencies: Mapping[str, Mapping[str, float]] | None = None,
        full: float = 1.0,
        least_healthy: float = 0.5,
    ) -> None:
        """`fence`: by the clients' jurisdiction, the jurisdictions of regions that may serve them. Clients of
        one that it does not name may go anywhere; with a fence, clients of unknown jurisdiction (`""`) only
        where `fence[""]` allows. `order`: of the rule "failover", by default that of `regions`. `latencies`:
        seconds, measured, by client and region. `full`: the share of a region's capacity at which it takes
        no more clients. `least_healthy`: the share of healthy servers below which a region
        is used only if all others are as bad.

        Raises ValueError for unknown names, and shares outside 0..1."""
        if not regions:
            raise ValueError("regions is empty: use at least one Region")
        instances(Region, "regions", regions)
        self.regions = tuple(regions)
        names = [region.name for region in regions]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"regions has {name!r} twice: give each a name of its own")
        if not isinstance(rule, str) or rule not in RULES:
            raise ValueError(unknown(rule, RULES, "rule"))
        for name in texts("order", order):
            if name not in names:
                raise ValueError(f"order: {unknown(name, names, 'region')}")
        number(0, 1, above=True, full=full)
        number(0, 1, least_healthy=least_healthy)
        self.rule = rule
        self.fence = fence_of(fence or {})
        known = {region.jurisdiction for region in regions}
        for client, allowed in self.fence.items():
            for jurisdiction in sorted(allowed - known):
                raise ValueError(
                    f"fence of {client!r}: {unknown(jurisdiction, sorted(known), 'jurisdiction of a region')}"
                )
        self.order = tuple(order) or tuple(names)
        self.latencies = table("latencies", latencies or {})
        for client, seconds in self.latencies.items():
            for name, value in table(f"latencies of {client}", seconds).items():
                if name not in names:
                    raise ValueError(f"latencies of {client}: {unknown(name, names, 'region')}")
                check = {f"latencies of {client}, {name}": value}
                number(0, **check)  # type: ignore[arg-type] # names are those of values
        self.full = full
        self.least_healthy = least_healthy

    def permits(self, at: Location, region: Region) -> bool:
        """Return whether a client's data may be in a region."""
        allowed = self.fence.get(at.jurisdiction)
        if allowed is None:
            # If the jurisdiction is unknown, a fence permits nothing.
            return not self.fence or bool(at.jurisdiction)
        return region.jurisdiction in allowed

    def scores(self, client: str, at: Location) -> dict[str, float]:
        """Return the scores by the rule of the regions that may serve a client, the best (lowest) first."""
        scores = RULES[self.rule](self, client, at)
        permitted = {region.name for region in self.regions if self.permits(at, region)}
        ranked = sorted((score, name) for name, score in scores.items() if name in permitted)
        return {name: score for score, name in ranked}

    def choose(self, client: str, at: Location, states: Mapping[str, RegionState] | None = None) -> Region:
        """Return the region for a client: the first in its ranking that is up and has room.

        If all regions that are up are full, the first of them, whose own limits may refuse the client.
        `states`: by region; a region without one is healthy and idle. Raises NoRegion if no region that the
        fence permits has a healthy server."""
        by_name = {region.name: region for region in self.regions}
        ranking = [by_name[name] for name in self.scores(client, at)]
        if not ranking:
            raise NoRegion(f"no region may serve clients of the jurisdiction {at.jurisdiction!r}")
        known = states or {}
        up = [region for region in ranking if self.is_up(region, known.get(region.name, RegionState()))]
        up = up or [r for r in ranking if known.get(r.name, RegionState()).healthy > 0]  # better than nothing
        if not up:
            names = ", ".join(region.name for region in ranking)
            raise NoRegion(f"every region that may serve {client!r} is down: {names}")
        for region in up:
            if self.has_room(region, known.get(region.name, RegionState())):
                return region
        return up[0]

    def is_up(self, region: Region, state: RegionState) -> bool:
        """Return whether enough of a region's servers are healthy."""
        return state.healthy > 0 and state.healthy >= self.least_healthy

    def has_room(self, region: Region, state: RegionState) -> bool:
        """Return whether a region takes more: its servers that are healthy are the capacity it has left."""
        return state.load < self.full * region.capacity * state.healthy

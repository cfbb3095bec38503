"""Regions that serve clients, and where the clients are."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from lbkit.core.geo.earth import Place
from lbkit.core.options import number


@dataclass(frozen=True, slots=True)
class Location:
    """Where a client is: its place, and the jurisdiction whose law its data is under."""

    place: Place
    jurisdiction: str = ""  # such as "EU"; empty: not known


NOWHERE = Location(Place(0.0, 0.0))  # the place of clients that no table knows


@dataclass(frozen=True, slots=True)
class Region:
    """A site that serves. `capacity` and its load are in one unit, which the caller chooses: requests a
    second, or requests at once."""

    name: str
    place: Place
    jurisdiction: str = ""
    weight: float = 1.0
    capacity: float = inf

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name is empty: give the region a name")
        number(0, weight=self.weight)
        number(0, infinite=True, capacity=self.capacity)


@dataclass(frozen=True, slots=True)
class RegionState:
    """What is known of a region at the moment of a decision."""

    healthy: float = 1.0  # the share of its servers that are
    load: float = 0.0  # in the unit of the capacity

    def __post_init__(self) -> None:
        number(0, 1, healthy=self.healthy)
        number(0, load=self.load)

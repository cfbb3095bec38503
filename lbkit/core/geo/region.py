"""Regions that serve clients, and where the clients are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from lbkit.core.geo.earth import Place
from lbkit.core.options import number
from lbkit.core.text import shown, unknown

FIELDS = ("at", "jurisdiction", "capacity")  # of the table of a location


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


def location_of(what: str, table: object) -> Location:
    """Return the location in a table such as {"at": [latitude, longitude], "jurisdiction": "EU"}.

    Raises ValueError, which names `what`."""
    if not isinstance(table, Mapping):
        raise ValueError(f"{what} is {shown(table)}: use a table with at = [latitude, longitude]")
    for name in table:
        if name not in FIELDS:
            raise ValueError(f"{what}: {unknown(str(name), FIELDS, 'field')}")
    at, jurisdiction = table.get("at"), table.get("jurisdiction", "")
    if isinstance(at, str) or not isinstance(at, Sequence) or len(at) != 2:
        raise ValueError(f"{what}: at is {shown(at)}: use [latitude, longitude] in degrees")
    if not isinstance(jurisdiction, str):
        raise ValueError(f"{what}: jurisdiction is {shown(jurisdiction)}: use a text in quotes")
    try:
        return Location(Place(*at), jurisdiction)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None

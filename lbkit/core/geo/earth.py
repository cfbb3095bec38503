"""Places on Earth, and the time that packets need between them."""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt

from lbkit.core.options import number

EARTH = 6371.0088  # km, mean radius (IUGG; Moritz, Geodetic Reference System 1980)
FIBRE = 299_792.458 / 1.468  # km/s: light in glass, by the index of refraction of usual single-mode fibre
# Cables do not follow great circles, and routes do not follow the shortest cables. A rule of thumb from many
# measurements: twice the distance and a little more (Bozkurt et al., arXiv 1811.10737, 2018).
DETOUR = 2.1


@dataclass(frozen=True, slots=True)
class Place:
    """A place by its latitude and longitude in degrees. Raises ValueError for one that is not on Earth."""

    latitude: float  # north is positive
    longitude: float  # east is positive

    def __post_init__(self) -> None:
        number(-90, 90, latitude=self.latitude)
        number(-180, 180, longitude=self.longitude)


def distance(a: Place, b: Place) -> float:
    """Return the length in km of the great circle between two places (haversine formula: within 0.6 %)."""
    north_a, north_b = radians(a.latitude), radians(b.latitude)
    north, east = (north_b - north_a) / 2, radians(b.longitude - a.longitude) / 2
    chord = sin(north) ** 2 + cos(north_a) * cos(north_b) * sin(east) ** 2
    return 2 * EARTH * asin(min(1.0, sqrt(chord)))


def round_trip(a: Place, b: Place, access: float = 0.0, detour: float = DETOUR) -> float:
    """Return the seconds of a packet's way to a place and back: light in fibre, with detours.

    `access`: seconds, there and back, of the client's own line. Raises ValueError for a `detour` below 1."""
    number(0, access=access)
    number(1, detour=detour)
    return access + 2 * detour * distance(a, b) / FIBRE

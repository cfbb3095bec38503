from __future__ import annotations

from math import pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.geo import Place, distance, round_trip
from lbkit.core.geo.earth import EARTH

LONDON, NEW_YORK, SYDNEY = Place(51.5074, -0.1278), Place(40.7128, -74.0060), Place(-33.8688, 151.2093)

places = st.builds(Place, st.floats(-90, 90), st.floats(-180, 180))


def test_known_distances() -> None:
    assert distance(LONDON, NEW_YORK) == pytest.approx(5570, rel=0.006)  # geodesic: 5585 km
    assert distance(LONDON, SYDNEY) == pytest.approx(16_994, rel=0.006)
    assert distance(Place(0, 0), Place(0, 90)) == pytest.approx(EARTH * pi / 2)
    assert distance(Place(90, 0), Place(-90, 77)) == pytest.approx(EARTH * pi)


def test_a_round_trip_is_never_faster_than_light_in_fibre() -> None:
    at_best = round_trip(LONDON, NEW_YORK, detour=1)
    assert at_best == pytest.approx(0.0546, rel=0.01)
    assert round_trip(LONDON, NEW_YORK) == pytest.approx(2.1 * at_best)
    assert round_trip(LONDON, LONDON, access=0.01) == pytest.approx(0.01)


@given(places, places, places)
def test_distances_are_a_metric(a: Place, b: Place, c: Place) -> None:
    assert distance(a, a) == 0
    assert distance(a, b) == pytest.approx(distance(b, a))
    assert distance(a, c) <= distance(a, b) + distance(b, c) + 1e-3
    assert 0 <= distance(a, b) <= pi * EARTH + 1e-6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Place(91, 0), "latitude is 91"),
        (lambda: Place(0, float("nan")), "longitude is nan"),
        (lambda: round_trip(LONDON, SYDNEY, detour=0.5), "detour is 0.5"),
        (lambda: round_trip(LONDON, SYDNEY, access=-1), "access is -1"),
    ],
)
def test_what_is_not_on_earth_is_named(make, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        make()

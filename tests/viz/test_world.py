from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.geo import Location, Place, Region, RegionState, Steering
from lbkit.viz.world import coasts, way, world

REGIONS = [Region("paris", Place(48.9, 2.4), "EU"), Region("<b>virginia", Place(38.9, -77.5), "US")]
CLIENTS = {
    "lyon": Location(Place(45.8, 4.8), "EU"),
    "<i>boston": Location(Place(42.4, -71.1), "US"),
}


def texts(figure: object) -> str:
    return figure.to_json()  # type: ignore[attr-defined, no-any-return]


def test_every_client_has_the_colour_of_its_region() -> None:
    drawn = world(Steering(REGIONS), CLIENTS)
    colours = {trace.name: trace.marker.color for trace in drawn.data if trace.name}
    assert set(colours) == {"paris: 1 clients", "&lt;b&gt;virginia: 1 clients"}
    clients = [trace for trace in drawn.data if trace.text is not None]
    assert [trace.marker.color for trace in clients] == list(colours.values())
    assert "&lt;i&gt;boston" in clients[1].text[0]
    for tag in ("<i>", "<b>"):
        assert tag not in texts(drawn)  # names are texts


def test_a_client_that_nobody_may_serve_is_a_red_cross() -> None:
    steering = Steering(REGIONS, fence={"EU": ["EU"]})
    drawn = world(steering, CLIENTS, {"paris": RegionState(0)})
    (refused,) = [trace for trace in drawn.data if trace.name == "no region may serve them"]
    assert (refused.x, refused.y) == ((4.8,), (45.8,))
    assert "is down: paris" in refused.text[0]
    assert "paris: down" in [trace.name for trace in drawn.data]
    assert drawn.layout.title.text == "2 clients, nearest; 1 not served"


def test_coasts_are_on_the_map_and_nothing_crosses_it() -> None:
    east, north = coasts()
    assert 2000 < len(east) == len(north) < 4000
    assert all(x is None or -180 <= x <= 180 for x in east)
    assert all(y is None or -60 <= y <= 84 for y in north)
    assert not any(a is not None and b is not None and abs(a - b) > 180 for a, b in pairwise(east))


@given(st.floats(-180, 180), st.floats(-180, 180), st.floats(-80, 80), st.floats(-80, 80))
def test_a_way_goes_round_the_shorter_side(a: float, b: float, north: float, south: float) -> None:
    east, _ = way(Place(north, a), Place(south, b))
    assert (east[0], east[-1]) == (a, b)
    parts = [0.0]
    for x, y in pairwise(east):
        if x is not None and y is not None:
            parts.append(abs(y - x))
    assert sum(parts) <= 180 + 1e-6
    assert sum(parts) == pytest.approx(min(abs(a - b), 360 - abs(a - b)), abs=1e-6)

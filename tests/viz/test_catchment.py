from __future__ import annotations

from lbkit.core.geo import Internet
from lbkit.viz.catchment import catchment, internet_graph
from lbkit.viz.style import FAILED

NET = Internet(
    {"west": ["one"], "east": ["two"], "a": ["west"], "b": ["east"], "home": ["west"]}, [("one", "two")]
)


def test_the_graph_has_who_pays_whom() -> None:
    drawn = internet_graph(NET)
    assert drawn.edges["home", "west"]["kind"] == "provider"
    assert not drawn.has_edge("west", "home")
    assert drawn.edges["one", "two"]["kind"] == drawn.edges["two", "one"]["kind"] == "peer"


def test_networks_have_the_colour_of_their_site_and_stand_below_their_providers() -> None:
    drawn = catchment(NET, NET.routes(["a", "b"]))
    groups = {trace.name: trace for trace in drawn.data if trace.name}
    assert set(groups["to a"].text) == {"a", "west", "home", "one"}
    assert set(groups["to b"].text) == {"b", "east", "two"}
    heights = {n: y for trace in groups.values() for n, y in zip(trace.text, trace.y, strict=True)}
    assert all(heights[n] < heights[p] for n, above in NET.providers.items() for p in above)
    assert "home > west > a" in groups["to a"].customdata


def test_those_that_moved_have_a_red_ring() -> None:
    before, after = NET.routes(["a", "b"]), NET.routes(["b"])
    drawn = catchment(NET, after, before)
    ringed = {
        n
        for trace in drawn.data
        if trace.name
        for n, colour in zip(trace.text, trace.marker.line.color, strict=True)
        if colour == FAILED
    }
    assert ringed == {"a", "west", "home", "one"}
    assert "4 moved" in drawn.layout.title.text
    cut = catchment(NET, {}, before)
    assert [trace.name for trace in cut.data if trace.name] == ["no route"]

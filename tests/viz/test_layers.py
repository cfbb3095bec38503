"""Figures of the layers: what is seen, and where requests go."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest

from lbkit.viz import LayerPanel, figures
from lbkit.viz.layer_panel import ALGORITHMS, spread

SEEN = {"address": {"layer 4": True, "layer 7": True}, "path": {"layer 4": False, "layer 7": True}}


def test_each_part_of_a_request_has_a_mark_for_each_observer() -> None:
    drawn = figures.sees("Only layer 7 reads the path", SEEN)
    go.Figure(drawn.to_dict())  # plotly accepts it
    read, cannot = drawn.data
    assert list(zip(read.x, read.y, strict=True)) == [
        ("layer 4", "address"),
        ("layer 7", "address"),
        ("layer 7", "path"),
    ]
    assert (cannot.x, cannot.y) == (("layer 4",), ("path",))
    assert drawn.layout.yaxis.categoryarray == ("path", "address")  # the first row is on top


def test_a_bar_is_divided_by_server() -> None:
    drawn = figures.by_server("One server", {"layer 4": {"s1": 30, "s2": 0}, "layer 7": {"s1": 15, "s2": 15}})
    go.Figure(drawn.to_dict())
    assert [(bar.name, bar.x, bar.text) for bar in drawn.data] == [
        ("s1", (30, 15), ("30", "15")),
        ("s2", (0, 15), ("", "15")),
    ]


@pytest.mark.parametrize("figure", [figures.sees, figures.by_server])
def test_without_data_there_is_a_note(figure: object) -> None:
    assert figure("nothing", {}).layout.annotations[0].text  # type: ignore[operator]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_connection_has_one_server_at_layer_4_and_all_at_layer_7(algorithm: str) -> None:
    pinned, free = (spread(layer, algorithm, 3, [90]) for layer in (4, 7))
    assert sorted(pinned.values()) == [0, 0, 90]
    assert sum(free.values()) == 90
    assert min(free.values()) > 10


def test_equal_connections_are_not_equal_load() -> None:
    assert spread(4, "least_connections", 3, [600, 10, 10, 10, 10, 10]) == {"s1": 610, "s2": 20, "s3": 20}
    assert max(spread(7, "round_robin", 3, [600, 10, 10, 10, 10, 10]).values()) == 217


def test_the_panel_redraws_and_resets() -> None:
    panel = LayerPanel()
    before, number = panel.summary.value, panel.view.number
    assert "gets 100% at layer 4, 33% at layer 7" in panel.view.spec
    assert before == "An equal share of the requests is 33%."
    panel.controls["clients"].value = 30
    assert panel.view.number == number + 1
    assert panel.counts["layer 4"] == {"s1": 300, "s2": 300, "s3": 300}
    panel.controls["busy"].value = 50
    assert panel.counts["layer 4"]["s1"] > 4 * panel.counts["layer 4"]["s2"]
    panel.reset.click()
    assert panel.summary.value == before

"""The figure of single numbers."""

from __future__ import annotations

import plotly.graph_objects as go

from lbkit.viz import figures


def test_each_number_has_a_bar_with_its_name_value_and_unit() -> None:
    drawn = figures.bars("Two looks save time", {"one_look": 97.0, "two looks": 27.0}, "mean (ms)")
    go.Figure(drawn.to_dict())  # plotly accepts it
    bar = drawn.data[0]
    assert (bar.x, bar.y) == ((97.0, 27.0), ("one look", "two looks"))
    assert drawn.layout.title.text == "Two looks save time"
    assert drawn.layout.xaxis.title.text == "mean (ms)"


def test_bars_without_numbers_are_a_note() -> None:
    assert figures.bars("nothing", {}, "ms").layout.annotations[0].text

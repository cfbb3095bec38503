"""The figure of repeated measurements."""

from __future__ import annotations

import plotly.graph_objects as go

from lbkit.viz import figures

SAMPLES = {"nothing": [100.0, 110.0, 120.0, 130.0, 900.0], "access_log": [150.0, 160.0, 170.0]}


def test_a_row_has_the_median_the_quartiles_and_all_values_between_its_ends() -> None:
    drawn = figures.spread("A log costs little", SAMPLES, "time (µs)", beside="nothing")
    go.Figure(drawn.to_dict())  # plotly accepts it
    *ranges, marks = drawn.data
    assert [trace.x for trace in ranges[:2]] == [(100.0, 900.0), (110.0, 130.0)]
    assert (marks.x, marks.y) == ((120.0, 160.0), ("nothing", "access log"))
    assert marks.text == ("120", "160")
    assert drawn.layout.shapes[0].x0 == 120.0
    assert set(drawn.layout.xaxis.tickvals) >= {100.0, 200.0, 500.0}


def test_without_measurements_it_is_a_note() -> None:
    assert figures.spread("nothing", {}, "µs").layout.annotations[0].text

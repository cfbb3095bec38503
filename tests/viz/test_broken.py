"""Figures of layers: what each noticed of a node that broke, and where the time goes."""

from __future__ import annotations

from math import nan

import plotly.graph_objects as go
import pytest

from lbkit import Constant, Experiment, Tier, Traffic, run, servers
from lbkit.layers import Layer
from lbkit.topology import six_layers, what_if
from lbkit.viz import figures
from lbkit.viz.broken import added

BROKEN = what_if(six_layers(1, 2, 2, 1, 2).but(duration=120), "farm-1a")


def test_each_layer_has_its_marks_and_the_lost_requests_theirs() -> None:
    drawn = figures.noticed(BROKEN)
    go.Figure(drawn.to_dict())  # plotly accepts it
    failures, outs, lost = drawn.data
    assert failures.y[:2] == ("zone-1a", "region-1")
    assert list(outs.x) == pytest.approx([n.out for n in BROKEN.notices if n.out < 1e9], abs=1e-3)
    assert len(lost.x) == BROKEN.lost > 0
    assert drawn.layout.yaxis.categoryarray[:2] == ("lost requests", "zone-1a")
    assert drawn.layout.title.text.startswith("farm-1a crashes: ")


def test_a_server_that_nobody_misses_is_a_figure_too() -> None:
    drawn = figures.noticed(what_if(six_layers(1, 1, 2, 1, 2).but(duration=60), "s1"))
    go.Figure(drawn.to_dict())
    assert drawn.data[2].x == ()


def test_the_time_of_a_request_is_divided_among_the_layers() -> None:
    tree = Tier("a", Tier("b", servers(1, service=Constant(0.001)), distance=0.03), distance=0.1)
    result = run(Experiment(tree, Traffic(duration=50)).at_load(0.001))
    drawn = figures.time_by_layer(result)
    go.Figure(drawn.to_dict())
    (bar,) = drawn.data
    assert bar.y == ("entrance", "a", "b", "servers' work")
    assert bar.x == pytest.approx((0.2, 0.06, 0.0, 0.001), abs=1e-3)
    assert "entrance takes the most: 200" in drawn.layout.title.text


def test_what_no_layer_tells_is_left_out() -> None:
    silent = Layer("", None, 0, (), -1, -1, -1, -1, -1)
    one, two = (silent._replace(requests=n, added=seconds) for n, seconds in ((1, 0.1), (3, 0.3)))
    assert added([silent, one, two]) == pytest.approx(0.25)
    assert added([silent]) != added([silent])  # nan
    assert added([silent._replace(requests=2, added=nan), one]) == pytest.approx(0.1)


def test_without_tiers_there_are_no_layers_to_draw() -> None:
    with pytest.raises(ValueError, match="result has no layers: give its experiment tiers"):
        figures.time_by_layer(run(Experiment(servers(1), Traffic(duration=1))))

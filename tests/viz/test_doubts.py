from __future__ import annotations

import pytest
from needs import need_module

need_module("plotly")

from lbkit import Experiment, Traffic, run, servers
from lbkit.viz import figures, latency
from lbkit.viz.doubts import LEGEND_LINE, LINE, legend_lines

CALM = Experiment(servers(4), Traffic(duration=120, warmup=20), policy="random").at_load(0.6)


@pytest.mark.parametrize("draw", [figures.latency_cdf, figures.percentiles])
def test_warnings_stand_below_a_figure_of_percentiles(draw) -> None:
    overloaded = run(CALM.at_load(1.2))
    calm, doubtful = draw([run(CALM)]), draw([overloaded])
    (note,) = [a for a in doubtful.layout.annotations if "\u26a0" in (a.text or "")]
    assert note.text.replace("<br>", " ") == f"\u26a0 {overloaded.warnings[0]}"
    lines = note.text.count("<br>") + 1
    assert lines > 1
    assert doubtful.layout.height - calm.layout.height == 15 * lines
    assert not [a for a in calm.layout.annotations if "\u26a0" in (a.text or "")]


def test_the_figure_itself_stays_as_it_is() -> None:
    result = run(CALM.but(duration=30))
    plain, with_warnings = latency.latency_cdf([result]), figures.latency_cdf([result])
    assert with_warnings.data == plain.data
    assert figures.latency_cdf.__doc__ == latency.latency_cdf.__doc__
    assert figures.latency_cdf([]).layout.annotations[0].text == "no good answers"


def test_warnings_have_room_above_a_legend_of_several_lines() -> None:
    results = [run(CALM.but(duration=21, name=f"experiment number {n}")) for n in range(6)]
    few, many = (figures.latency_cdf(shown) for shown in (results[:2], results))
    assert legend_lines(few) == 1
    assert legend_lines(many) == 2
    below = [
        next(a for a in f.layout.annotations if "\u26a0" in a.text).text.count("<br>") for f in (few, many)
    ]
    assert many.layout.margin.b - few.layout.margin.b == LEGEND_LINE + LINE * (below[1] - below[0])

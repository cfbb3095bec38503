from __future__ import annotations

import plotly.graph_objects as go

from lbkit import Event, Experiment, run, servers
from lbkit.viz import figures

QUIET = Experiment(servers(3), policy="least_connections").at_load(0.5).but(duration=60)


def test_each_finding_is_a_bar_below_the_latency() -> None:
    events = [Event(20, "slow", "s2", 0.2), Event(40, "recover", "s2")]
    drawn = figures.diagnosis(run(QUIET.but(events=events)))
    go.Figure(drawn.to_dict())  # plotly's own validation
    latency, *bars = drawn.data
    assert len(latency.x) > 40
    assert [bar.y[0] for bar in bars] == ["slow server s2"]
    assert 18 < bars[0].x[0] < 22
    assert 38 < bars[0].x[1] < 44
    assert "instead of 0.02 s" in bars[0].hovertemplate
    assert drawn.layout.title.text == "slow server s2"


def test_a_quiet_run_has_no_bars() -> None:
    drawn = figures.diagnosis(run(QUIET))
    go.Figure(drawn.to_dict())
    assert len(drawn.data) == 1
    assert drawn.layout.title.text == "Nothing found"


def test_a_run_without_requests_says_so() -> None:
    drawn = figures.diagnosis(run(QUIET.but(duration=0.001).at_load(0.01)))
    assert drawn.layout.annotations[0].text == "no good answers"

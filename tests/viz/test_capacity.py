from __future__ import annotations

import plotly.graph_objects as go

from lbkit import Experiment, servers
from lbkit.capacity import servers_needed
from lbkit.viz import figures


def test_the_quantile_of_each_number_is_beside_the_limit() -> None:
    today = Experiment(servers(2), policy="random").at_load(0.6).but(duration=30)
    found = servers_needed(today, 0.25, seeds=3)
    drawn = figures.capacity(found)
    go.Figure(drawn.to_dict())  # plotly's own validation
    marks, limit = drawn.data
    tried = [step for step in found.steps if step.latency]
    assert list(marks.x) == [step.servers for step in tried]
    assert list(limit.y) == [0.25, 0.25]
    assert len(marks.error_y.array) == len(tried)
    filled = [n for n, symbol in zip(marks.x, marks.marker.symbol, strict=True) if symbol == "circle"]
    assert min(filled) == found.servers
    said = drawn.layout.title.text.replace("\u00a0", " ").replace("<br>", " ")
    assert said == found.statement

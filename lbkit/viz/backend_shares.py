"""A figure of the shares of requests by backend."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from lbkit.experiment import Experiment
from lbkit.result import Result
from lbkit.viz.drawing import Trace, figure, labelled
from lbkit.viz.style import INK, axis


def shares(results: Sequence[Result]) -> go.Figure:
    """Return the share of requests that each backend answered, beside its share of the capacity."""
    traces: list[Trace] = [
        {
            "type": "bar",
            "name": name,
            "x": list(result.shares),
            "y": list(result.shares.values()),
            "marker": style.marker,
            "hovertemplate": f"{name}<br>%{{x}}: %{{y:.2%}}<extra></extra>",
        }
        for name, style, result in labelled(results)
        if any(result.counts.values())
    ]
    if traces:
        traces.append(fair_shares(results[0].experiment))
    return figure(
        "Share of requests by backend",
        traces,
        xaxis=axis("backend", type="category"),
        yaxis=axis("share of requests", tickformat=".0%", rangemode="tozero"),
    )


def fair_shares(experiment: Experiment) -> Trace:
    """Return marks at each server's share of the capacity."""
    total = sum(s.capacity for s in experiment.servers)
    wide = 300 / len(experiment.servers)  # pixels, about the width of a group of bars
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "fair by capacity",
        "x": [s.name for s in experiment.servers],
        "y": [s.capacity / total for s in experiment.servers],
        "marker": {"symbol": "line-ew", "size": min(wide, 60), "line": {"color": INK, "width": 2}},
        "hovertemplate": "fair by capacity<br>%{x}: %{y:.2%}<extra></extra>",
    }

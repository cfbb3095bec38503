"""A figure of single numbers side by side."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from lbkit.viz.drawing import figure
from lbkit.viz.style import INK, axis, title

ROW = 30  # pixels


def bars(finding: str, values: Mapping[str, float], unit: str, of: str = ".3~g") -> go.Figure:
    """Return one horizontal bar for each name, with its value beside it; `finding` is the title.

    `unit`: the axis title, such as "p99 (ms)". `of`: the d3 format of the values, such as ".0%"."""
    bar = {
        "type": "bar",
        "orientation": "h",
        "x": list(values.values()),
        "y": [title(name) for name in values],
        "texttemplate": f"%{{x:{of}}}",
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": INK},
        "hovertemplate": f"%{{y}}: %{{x:{of}}}<extra></extra>",
    }
    rows = axis("", type="category", autorange="reversed", showgrid=False)
    height = 130 + ROW * len(values)
    return figure(
        finding,
        [bar] if values else [],
        xaxis=axis(unit, rangemode="tozero", tickformat=of),
        yaxis=rows,
        height=height,
        showlegend=False,
    )

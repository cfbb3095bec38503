"""A figure of repeated measurements: their middle, and how much they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10
from statistics import median, quantiles

import plotly.graph_objects as go

from lbkit.viz.drawing import figure
from lbkit.viz.latency import rounded
from lbkit.viz.style import FAINT, INK, axis, title

ROW = 34  # pixels


def spread(
    finding: str, samples: Mapping[str, Sequence[float]], unit: str, beside: str = "", of: str = ".0f"
) -> go.Figure:
    """Return a row for each name: a mark at the median, a bar from the lower to the upper quartile, and a
    thin line from the least to the greatest value, on a logarithmic axis.

    `samples`: at least two positive numbers for each name. `beside`: a name; a dotted line at its median
    helps to compare the others with it. `unit`: the axis title. `of`: the format of the medians."""
    middles = {name: median(values) for name, values in samples.items()}
    if not samples:
        return figure(finding, [])
    ranges = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": rounded(ends),
            "y": [title(name)] * 2,
            "line": {"color": FAINT, "width": width},
            "hoverinfo": "skip",
        }
        for name, values in samples.items()
        for ends, width in (((min(values), max(values)), 1), (_quartiles(values), 7))
    ]
    marks = {
        "type": "scatter",
        "mode": "markers+text",
        "x": rounded(middles.values()),
        "y": [title(name) for name in samples],
        "text": [f"{value:{of}}" for value in middles.values()],
        "textposition": "top center",
        "textfont": {"size": 11},
        "cliponaxis": False,
        "marker": {"color": INK, "size": 9, "line": {"color": "white", "width": 1}},
        "customdata": [[*map(float, rounded((*_quartiles(v), min(v), max(v))))] for v in samples.values()],
        "hovertemplate": (
            "%{y}: %{x:.4~g}, half of all from %{customdata[0]:.4~g} to %{customdata[1]:.4~g},"
            " all from %{customdata[2]:.4~g} to %{customdata[3]:.4~g}<extra></extra>"
        ),
    }
    values = [value for each in samples.values() for value in each]
    dotted = {"color": INK, "dash": "dot", "width": 1}
    line = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "line": dotted}
    return figure(
        finding,
        [*ranges, marks],
        meta={"alt": f"{unit}: {'; '.join(_said(name, values, of) for name, values in samples.items())}"},
        xaxis=axis(unit, type="log", tickvals=_ticks(values), range=_around(values)),
        yaxis=axis("", type="category", range=[len(samples) - 0.5, -0.8]),
        shapes=[line | {"x0": middles[beside], "x1": middles[beside]}] if beside else [],
        height=150 + ROW * len(samples),
        showlegend=False,
    )


def _said(name: str, values: Sequence[float], of: str) -> str:
    lower, upper = _quartiles(values)
    least, most = min(values), max(values)
    median_of = f"{title(name)} {median(values):{of}}"
    return f"{median_of}, half from {lower:{of}} to {upper:{of}}, all from {least:{of}} to {most:{of}}"


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    lower, _, upper = quantiles(values, n=4, method="inclusive")
    return lower, upper


def _around(values: Sequence[float]) -> list[float]:
    """Return a range with room at both ends, as powers of ten."""
    return [log10(min(values) / 1.15), log10(max(values) * 1.15)]


def _ticks(values: Sequence[float]) -> list[float]:
    """Return round numbers over the values, three a decade."""
    steps = (step * 10.0**power for power in range(-9, 9) for step in (1, 2, 5))
    return [tick for tick in steps if min(values) / 1.15 < tick < max(values) * 1.15]

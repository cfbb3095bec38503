"""A figure of a decision table: how many times worse than the best each algorithm is, system by system."""

from __future__ import annotations

from math import isfinite, log10

from lbkit.gameday import DecisionTable
from lbkit.viz.drawing import Figure, figure
from lbkit.viz.style import DARK, axis, title

ROW = 40  # pixels
FAR = 10.0  # times worse, from which on the colour stays the same
SHADES = ((0.0, "#F7EFEA"), (1.0, "#D79B78"))  # opaque: the text is readable on light and dark pages


def decision_table(table: DecisionTable, finding: str = "") -> Figure:
    """Return a row for each system, and a column for each algorithm: how many times worse its mean is.

    A ✓ marks what no other algorithm beats, as far as the seeds can tell. `finding`: the title."""
    factors = {system: [table.factor(system, one) for one in table.algorithms] for system in table}
    texts = [
        [_said(factor, one in table.best(system)) for factor, one in zip(row, table.algorithms, strict=True)]
        for system, row in factors.items()
    ]
    heat = {
        "type": "heatmap",
        "x": [title(name).replace(" ", "<br>") for name in table.algorithms],
        "y": [title(name) for name in table],
        "z": [[_shade(factor) for factor in row] for row in factors.values()],
        "zmin": 0,
        "zmax": 1,
        "colorscale": [list(stop) for stop in SHADES],
        "showscale": False,
        "xgap": 3,
        "ygap": 3,
        "text": texts,
        "texttemplate": "%{text}",
        "textfont": {"color": DARK},
        "hovertemplate": "%{y}, %{x}: %{text}<extra></extra>",
    }
    return figure(
        finding or _finding(table),
        [heat],
        xaxis=axis("", type="category", side="top", showgrid=False),
        yaxis=axis("", type="category", autorange="reversed", showgrid=False),
        height=120 + ROW * len(table),
        margin={"l": 56, "r": 16, "t": 84, "b": 12},
    )


def _said(factor: float, best: bool) -> str:
    said = f"× {factor:.3g}" if isfinite(factor) else "-"
    return f"<b>{said} ✓</b>" if best else said


def _shade(factor: float) -> float | None:
    return round(min(1.0, log10(max(1.0, factor)) / log10(FAR)), 4) if isfinite(factor) else None


def _finding(table: DecisionTable) -> str:
    winners = {table.best(system)[0] for system in table}
    return f"{len(table)} systems, {len(winners)} different winners"

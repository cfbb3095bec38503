"""The warnings of results, below the figures that show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from html import escape
from math import ceil
from textwrap import wrap
from typing import Concatenate, ParamSpec

from lbkit.result import Result
from lbkit.table import cautions
from lbkit.viz.drawing import Figure
from lbkit.viz.style import INK, WIDE

P = ParamSpec("P")
Draw = Callable[Concatenate[Sequence[Result], P], Figure]

LINE = 15  # pixels
BELOW_AXIS = 46  # pixels from the axis to below its title
LEGEND_LINE, LETTER, SYMBOL = 19, 7, 45  # pixels in a legend: a line, a letter, and what is before a name
NARROW = 800  # pixels of a figure in JupyterLab on a small screen


def warned(draw: Draw[P]) -> Draw[P]:
    """Return a function that draws the same figure with the warnings of its results below the axis."""

    @wraps(draw)
    def drawn(results: Sequence[Result], /, *args: P.args, **fields: P.kwargs) -> Figure:
        figure = draw(results, *args, **fields)
        return with_warnings(figure, cautions(results))

    return drawn


def with_warnings(figure: Figure, warnings: Sequence[str]) -> Figure:
    """Return the figure with `warnings` below its axis, and higher by their lines."""
    lines = [line for text in warnings for line in wrap(f"\u26a0 {text}", WIDE)]
    if not lines:
        return figure
    more = LINE * len(lines) + LEGEND_LINE * (legend_lines(figure) - 1)
    layout = figure.layout
    layout.height += more
    layout.margin.b += more
    figure.add_annotation(
        text="<br>".join(map(escape, lines)),
        x=0,
        y=0,
        xref="paper",
        yref="paper",
        xanchor="left",
        yanchor="top",
        yshift=-BELOW_AXIS,
        align="left",
        showarrow=False,
        font={"size": 11, "color": INK},
    )
    return figure


def legend_lines(figure: Figure) -> int:
    """Return how many lines the legend below a figure takes: where one is too short, in columns."""
    if figure.layout.legend.orientation == "v":
        return 1
    widths = [
        SYMBOL + LETTER * len(trace.name or "") for trace in figure.data if trace.showlegend is not False
    ]
    if sum(widths) <= NARROW:
        return 1
    return ceil(len(widths) / max(1, NARROW // max(widths)))

"""The warnings of results, below the figures that show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from html import escape
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
    more = LINE * len(lines)
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

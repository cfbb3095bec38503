"""Curves of any measure against any number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lbkit.viz.drawing import Figure, figure, line
from lbkit.viz.latency import rounded
from lbkit.viz.over_time import BESIDE, VERTICAL
from lbkit.viz.style import SYMBOLS, axis, named_look, title

Points = tuple[Sequence[float], Sequence[float]]  # all x, and all y


def curves(
    finding: str,
    lines: Mapping[str, Points],
    x: str,
    y: str,
    marks: Mapping[str, float] | None = None,
    x_format: str = "",
    y_format: str = "",
) -> Figure:
    """Return a line with points for each name; a policy has its own colour, other names have shades of grey.

    `finding` is the title; `x` and `y` say what the axes show, and its unit. `marks`: text -> the x at which
    a dotted line stands. `x_format`, `y_format`: d3 formats, such as ".0%"."""
    traces = [
        line(
            title(name),
            (look := named_look(name, number)),
            list(xs),
            rounded(ys),
            f"%{{y:{y_format or '.4~g'}}} at %{{x:{x_format or '.4~g'}}}",
            mode="lines+markers",
            cliponaxis=False,  # points at zero would be halves
            marker={"color": look.colour, "symbol": SYMBOLS[number % len(SYMBOLS)], "size": 8},
        )
        for number, (name, (xs, ys)) in enumerate(lines.items())
    ]
    places = (marks or {}).items()
    return figure(
        finding,
        traces,
        xaxis=axis(x, rangemode="tozero", tickformat=x_format),
        yaxis=axis(y, rangemode="tozero", tickformat=y_format),
        shapes=[VERTICAL | {"x0": at, "x1": at} for _, at in places],
        annotations=[BESIDE | {"x": at, "text": text} for text, at in places],
    )

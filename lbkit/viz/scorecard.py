"""A figure of a scorecard: each measure of each design with its interval, beside what is promised."""

from __future__ import annotations

from math import isfinite
from typing import Any

from lbkit.gameday import MEASURES, Scorecard
from lbkit.viz.drawing import Figure, Trace, figure
from lbkit.viz.style import FAILED, INK, axis, title

ROW = 32  # pixels
SPACE = 0.035  # between two columns
# Whether a promise is kept -> (what it is called, the symbol): not by colour alone.
LOOKS = {
    True: ("promise kept", "circle"),
    False: ("promise broken", "x"),
    None: ("cannot tell", "circle-open"),
}


def scorecard(card: Scorecard, finding: str = "") -> Figure:
    """Return a column for each measure, and in it a mark for each design with its 95 % interval.

    A dotted line is what the company promises; broken promises are red crosses, and circles are open where
    the seeds cannot tell. `finding`: the title; by default which design keeps most promises."""
    width = (1 - SPACE * (len(MEASURES) - 1)) / len(MEASURES)
    traces: list[Trace] = []
    layout: dict[str, Any] = {"shapes": []}
    for number, name in enumerate(MEASURES):
        of = "" if number == 0 else str(number + 1)
        left = number * (width + SPACE)
        traces += _marks(card, name, f"x{of}", first=number == 0)
        measure = MEASURES[name]
        layout[f"xaxis{of}"] = axis(
            f"{measure.title}<br>({measure.unit})", domain=[left, left + width], nticks=4, zeroline=False
        ) | {"automargin": False}
        if name in card.company.promises:
            at = card.company.promises[name] * measure.factor
            line = {"type": "line", "xref": f"x{of}", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1}
            layout["shapes"].append(line | {"line": {"color": INK, "dash": "dot", "width": 1.5}})
    return figure(
        finding or _finding(card),
        traces,
        yaxis=axis("", type="category", categoryarray=[*map(title, card)], range=[len(card) - 0.5, -0.5]),
        **layout,
        height=150 + ROW * len(card),
        margin={"l": 56, "r": 16, "t": 38, "b": 92},
    )


def _marks(card: Scorecard, name: str, where: str, first: bool) -> list[Trace]:
    """Return the marks of one measure: a trace for each state of its promise."""
    measure, promised = MEASURES[name], name in card.company.promises
    found = {design: card.kept(design, name) if promised else True for design in card}
    traces = []
    for kept, (said, symbol) in LOOKS.items():
        designs = [design for design in card if found[design] is kept]
        values = [card[design][name] for design in designs]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": said,
                "legendgroup": said,
                "showlegend": first,
                "xaxis": where,
                "x": [_plain(value.mean * measure.factor) for value in values] or [None],
                "y": [title(design) for design in designs] or [title(next(iter(card)))],
                "error_x": {
                    "type": "data",
                    "array": [_plain(value.half * measure.factor) for value in values],
                    "color": INK,
                    "thickness": 1.5,
                    "width": 4,
                },
                "marker": {"color": INK if kept is not False else FAILED, "symbol": symbol, "size": 9},
                "text": [measure.write(value) for value in values] or [""],
                "hovertemplate": f"%{{y}}: %{{text}}, {said}<extra></extra>",
            }
        )
    return traces


def _plain(value: float) -> float | None:
    return float(f"{value:.5g}") if isfinite(value) else None  # JSON has no nan


def _finding(card: Scorecard) -> str:
    kept = {name: card.promises_kept(name) for name in card}
    best = max(kept, key=lambda name: kept[name])
    return f"Most promises kept: {title(best)}, {kept[best]} of {len(card.company.promises)}"

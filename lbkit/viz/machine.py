"""A state machine, drawn from its table of transitions."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from lbkit.viz.drawing import HIDDEN, Figure, Trace, figure
from lbkit.viz.states import COLOURS, level
from lbkit.viz.style import INK

WIDE, HIGH = 0.27, 0.16  # half the size of a state's box, where neighbours are 1 apart
POINTS = 24  # of an arc


def machine(finding: str, transitions: Mapping[tuple[Enum, Enum], Enum]) -> Figure:
    """Return the states in a row and an arrow for each transition, with the events that cause it.

    `transitions`: (state, event) -> the state after it. Ways forward are above, ways back below; a box has
    the colour that its state has in `figures.states`."""
    events: dict[tuple[Enum, Enum], list[str]] = {}
    for (before, event), after in transitions.items():
        events.setdefault((before, after), []).append(str(event.value))
    there = {state for pair in events for state in pair}
    place = {state: i for i, state in enumerate(s for s in type(next(iter(there))) if s in there)}
    arcs: list[Trace] = []
    notes: list[dict[str, Any]] = []
    for (before, after), names in events.items():
        x, y = _arc(place[before], place[after])
        line = {"color": INK, "width": 1.5}
        arcs.append({"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line, "hoverinfo": "skip"})
        notes += [_head(x, y), _label(" or ".join(names), x[POINTS // 2], y[POINTS // 2])]
    boxes = [
        {
            "type": "rect",
            **{"x0": i - WIDE, "x1": i + WIDE, "y0": -HIGH, "y1": HIGH},
            "fillcolor": COLOURS[level(str(state.value))],
            "line": {"color": INK, "width": 1},
        }
        for state, i in place.items()
    ]
    notes += [
        {
            **{"x": i, "y": 0, "text": f"<b>{state.value}</b>", "showarrow": False},
            "font": {"size": 13, "color": "white" if level(str(state.value)) > 1 else INK},
        }
        for state, i in place.items()
    ]
    tallest = max(abs(value) for arc in arcs for value in arc["y"]) + 0.25
    return figure(
        finding,
        arcs,
        meta={"alt": "; ".join(_said(*way, names) for way, names in events.items())},
        shapes=boxes,
        annotations=notes,
        xaxis=HIDDEN | {"range": [-0.6, len(place) - 0.4], "fixedrange": True},
        yaxis=HIDDEN | {"range": [-tallest, tallest], "fixedrange": True},
        height=340,
        showlegend=False,
    )


def _said(before: Enum, after: Enum, events: list[str]) -> str:
    return f"from {before.value} to {after.value} by {' or '.join(events)}"


def _arc(start: int, end: int) -> tuple[list[float], list[float]]:
    """Return the points of an arrow: straight to the next state, and else in an arc, the wider the higher."""
    if end - start == 1:
        first, last = start + WIDE, end - WIDE
        return [first + (last - first) * i / POINTS for i in range(POINTS + 1)], [0.0] * (POINTS + 1)
    side = 1 if end > start else -1
    height = 0.5 * abs(end - start)
    inset = side * max(0.02, 0.25 - 0.08 * abs(end - start))  # outer arcs stay outside at a box, too
    first, last = start + inset, end - inset
    xs = [first + (last - first) * i / POINTS for i in range(POINTS + 1)]
    ys = [side * (HIGH + height * 4 * t * (1 - t)) for t in (i / POINTS for i in range(POINTS + 1))]
    return xs, ys


def _head(x: list[float], y: list[float]) -> dict[str, Any]:
    """Return the arrowhead at the end of a line."""
    tail = {"ax": x[-3], "ay": y[-3], "axref": "x", "ayref": "y"}
    return {"x": x[-1], "y": y[-1], "text": "", "arrowhead": 2, "arrowcolor": INK, "arrowsize": 1.3, **tail}


def _label(text: str, x: float, y: float) -> dict[str, Any]:
    return {
        "x": x,
        "y": y,
        "text": text,
        "showarrow": False,
        "yanchor": "bottom",  # above the line, also where that is within an arc: below it other arcs may pass
        "yshift": 3,
        "font": {"size": 12, "color": INK},
    }

"""Figures as plain data, without plotly's objects.

While a slider moves, a panel sends sketches: building plotly's objects would take two thirds of the time.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from lbkit.viz.style import INK, layout

Trace = dict[str, Any]
HIDDEN = {"visible": False}


class Sketch(NamedTuple):
    """The traces and the layout of a figure."""

    data: list[Trace]
    layout: dict[str, Any]

    def to_json(self) -> str:
        """Return the figure as JSON for plotly.js. Raises ValueError for a number that is not finite."""
        return json.dumps(self._asdict(), separators=(",", ":"), allow_nan=False)


def sketched(name: str, traces: list[Trace], **more: Any) -> Sketch:
    """Return a sketch in the common style; without traces, with a note that there is no data."""
    if not traces:
        more = {"annotations": [note("no good answers")], "xaxis": HIDDEN, "yaxis": HIDDEN}
    return Sketch(traces, layout(name, **more))


def note(text: str) -> dict[str, Any]:
    """Return an annotation in the middle of a figure."""
    middle = {"x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper"}
    return {"text": text, "showarrow": False, "font": {"size": 14, "color": INK}, **middle}

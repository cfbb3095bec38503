"""A figure with a row for each server: its answers and errors over time, all rows on one scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lbkit.viz.drawing import Figure, Trace, figure
from lbkit.viz.style import FAILED, axis

AREA = "rgba(128,136,146,0.5)"
ROOM = 300  # pixels for all rows, if they fit
NARROW, BROAD = 16, 60  # pixels of a row


@dataclass(frozen=True, slots=True)
class Lane:
    """The answers and errors a second of one server, in steps."""

    name: str
    answers: list[float]
    errors: list[float]


def lanes(name: str, rows: Sequence[Lane], times: Iterable[float], **more: Any) -> Figure:
    """Return a row for each lane: answers in grey, errors in red on top of them."""
    if not rows:
        return figure(name, [])
    x = list(times)
    highest = max(a + e for lane in rows for a, e in zip(lane.answers, lane.errors, strict=True)) or 1.0
    traces: list[Trace] = []
    for number, lane in enumerate(rows, 1):
        for what, values, colour in (("answers", lane.answers, AREA), ("errors", lane.errors, FAILED)):
            if what == "errors" and not any(values) and number > 1:
                continue  # the first row's is for the legend
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": what,
                    "x": x,
                    "y": [round(v, 2) for v in values],
                    "yaxis": "y" if number == 1 else f"y{number}",
                    "stackgroup": lane.name,
                    "line": {"width": 0, "color": colour, "shape": "hvh"},
                    "fillcolor": colour,
                    "legendgroup": what,
                    "showlegend": number == 1,
                    "hovertemplate": f"{lane.name}: %{{y:.3g}} {what}/s at %{{x:.3g}} s<extra></extra>",
                }
            )
    broad = min(BROAD, max(NARROW, ROOM // len(rows)))
    layout: dict[str, Any] = {"height": 110 + broad * len(rows)}
    for number, lane in enumerate(rows, 1):
        top = 1 - (number - 1) / len(rows)
        layout["yaxis" if number == 1 else f"yaxis{number}"] = axis(
            domain=[top - 0.86 / len(rows), top],
            range=[0, highest],
            tickvals=[highest / 2],
            ticktext=[lane.name],  # the name of the row, where other axes have a number
            showgrid=False,
            fixedrange=True,
        )
    middle = len(rows) // 2 + 1
    layout["yaxis" if middle == 1 else f"yaxis{middle}"]["title"]["text"] = f"each row: 0 to {highest:.3g}/s"
    xaxis = more.pop("xaxis", axis("time (s)")) | {"anchor": "y" if len(rows) == 1 else f"y{len(rows)}"}
    return figure(name, traces, xaxis=xaxis, **layout, **more)

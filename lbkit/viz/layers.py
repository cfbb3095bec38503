"""Figures of what a balancer sees at each layer, and of where requests go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lbkit.viz.drawing import Figure, Trace, figure
from lbkit.viz.style import FAINT, INK, LEGEND, axis, server_look, title

ROW = 34  # pixels


def sees(finding: str, seen: Mapping[str, Mapping[str, bool]]) -> Figure:
    """Return a mark for each part of a request (row) and observer (column): filled if it can be read there.

    `seen`: part -> observer -> whether it sees it."""
    observers = list(dict.fromkeys(name for row in seen.values() for name in row))
    traces: list[Trace] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": what,
            "x": [name for row in seen.values() for name, sees in row.items() if sees is wanted],
            "y": [part for part, row in seen.items() for sees in row.values() if sees is wanted],
            "marker": {"symbol": symbol, "size": 16, "color": colour, "line": {"width": 1.5}},
            "hovertemplate": f"%{{x}}<br>%{{y}}: {what}<extra></extra>",
        }
        for what, wanted, symbol, colour in (
            ("can be read", True, "circle", INK),
            ("cannot", False, "circle-open", FAINT),
        )
    ]
    order = {"type": "category", "showgrid": False}
    return figure(
        finding,
        traces if seen else [],
        xaxis=axis("", side="top", categoryorder="array", categoryarray=observers, **order),
        yaxis=axis("", categoryorder="array", categoryarray=list(seen)[::-1], **order),
        height=150 + ROW * len(seen),
        margin={"l": 56, "r": 16, "t": 70, "b": 56},
    )


def _marker(number: int) -> dict[str, Any]:
    """Return the marker of a server's bars; its stripes leave the colour behind the text."""
    marker = server_look(number).marker
    return marker | {"pattern": marker["pattern"] | {"fillmode": "overlay", "fgopacity": 0.25}}


def by_server(finding: str, counts: Mapping[str, Mapping[str, int]]) -> Figure:
    """Return a bar for each name, divided by the server that got the requests.

    `counts`: name -> server -> requests; servers in the same order everywhere."""
    servers = list(dict.fromkeys(server for row in counts.values() for server in row))
    traces: list[Trace] = [
        {
            "type": "bar",
            "orientation": "h",
            "name": server,
            "x": [row.get(server, 0) for row in counts.values()],
            "y": [title(name) for name in counts],
            "text": [str(row.get(server) or "") for row in counts.values()],
            "textposition": "inside",
            "insidetextanchor": "middle",
            "textangle": 0,
            "marker": _marker(number),
            "hovertemplate": f"%{{y}}<br>{server}: %{{x}} requests<extra></extra>",
        }
        for number, server in enumerate(servers)
    ]
    return figure(
        finding,
        traces,
        barmode="stack",
        legend=LEGEND | {"traceorder": "normal"},
        xaxis=axis("requests", rangemode="tozero"),
        yaxis=axis("", type="category", autorange="reversed", showgrid=False),
        height=130 + ROW * len(counts),
    )

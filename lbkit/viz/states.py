"""A heat map of the states of servers over time, from a result's changes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from lbkit.core.state_change import OUT
from lbkit.result import Result
from lbkit.viz.drawing import Figure, Trace, figure
from lbkit.viz.lanes import BROAD, NARROW, ROOM
from lbkit.viz.latency import rounded
from lbkit.viz.over_time import time_layout
from lbkit.viz.style import FAILED, GRID, HEAT, axis, duration, title

# State of a machine -> how bad it is: what is in neither CHANGING nor OUT serves as usual.
CHANGING = ("failing", "recovering", "half open", "draining", "starting", "settling")
LEVELS = ("in service", "changing", "out of service")
COLOURS = (GRID, HEAT[1][1], FAILED)


def level(state: str) -> int:
    """Return 2 for a state in which a server gets no requests, 1 for one on the way, 0 for service."""
    return 2 if state in OUT else 1 if state in CHANGING else 0


def states(result: Result) -> Figure:
    """Return the states of servers over time, a row for each, by all that can take it out of service.

    A cell reaches from one change to the next, and has the worst state of its server's state machines; the
    text has all. Of several balancers, it is the latest that any of them said."""
    end = result.experiment.traffic.duration
    changes = [change for change in result.changes if change.at < end]
    edges = sorted({0.0, end, *(max(0.0, change.at) for change in changes)})
    rows: dict[str, list[int]] = {}
    texts: dict[str, list[str]] = {}
    for name in result.backends:
        own = [change for change in changes if change.backend == name]
        current = {change.kind: change.before for change in reversed(own)}  # at the start
        rows[name], texts[name] = [], []
        for start, _ in pairwise(edges):
            current |= {change.kind: change.after for change in own if max(0.0, change.at) == start}
            rows[name].append(max(map(level, current.values()), default=0))
            texts[name].append(", ".join(f"{kind}: {state}" for kind, state in current.items()) or LEVELS[0])
    heat = strips(edges, rows) | {
        "text": list(texts.values()),
        "hovertemplate": "%{y}: %{text}, from %{x:.3~g} s<extra></extra>",
    }
    more: dict[str, Any] = time_layout(result.experiment)
    more["height"] = 150 + min(BROAD, max(NARROW, ROOM // len(rows))) * len(rows)
    backends = axis("backend", type="category", autorange="reversed", showgrid=False)
    return figure(finding(result, edges, rows), [heat], yaxis=backends, **more)


def strips(edges: list[float], rows: Mapping[str, list[int]]) -> Trace:
    """Return the trace of a heat map with a row of levels for each name; `edges` are those of its cells."""
    return {
        "type": "heatmap",
        "x": rounded(edges),
        "y": list(rows),
        "z": list(rows.values()),
        "zmin": -0.5,
        "zmax": 2.5,
        "ygap": 2,
        "colorscale": [(edge / 3, COLOURS[i]) for i in range(3) for edge in (i, i + 1)],
        "colorbar": {"tickvals": [0, 1, 2], "ticktext": list(LEVELS), "thickness": 10, "outlinewidth": 0},
    }


def finding(result: Result, edges: list[float], rows: dict[str, list[int]]) -> str:
    """Return the finding of a heat map of states: the server that is out of service longest."""
    out = {
        name: sum(b - a for (a, b), bad in zip(pairwise(edges), row, strict=True) if bad == 2)
        for name, row in rows.items()
    }
    name = max(out, key=out.__getitem__)
    of = title(result.policy)
    if not out[name]:
        return f"Every server is in service all the time ({of})"
    whole = duration(result.experiment.traffic.duration)
    return f"{name} is out of service for {duration(out[name])} of {whole} ({of})"

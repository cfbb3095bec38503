"""A heat map of the states of servers over time, from a result's changes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from lbkit.core.state_change import ON_TRIAL, OUT
from lbkit.result import Result
from lbkit.viz.drawing import Figure, Trace, figure
from lbkit.viz.latency import rounded
from lbkit.viz.over_time import below_events, time_layout
from lbkit.viz.style import FAILED, GRID, duration, title

# The states of level 1, with requests; of level 2, with none or a few; and of level 3, out of service. In all
# others a server serves as usual: level 0.
IN_DOUBT = ("failing", "settling")
COMING_OR_GOING = (*ON_TRIAL, "draining", "starting")
LEVELS = ("in service", "in doubt", "coming or going", "out of service")
COLOURS = (GRID, "rgba(160,90,44,0.35)", "rgba(200,0,4,0.55)", FAILED)  # from light to dark


def level(state: str) -> int:
    """Return how bad a state is, as an index of LEVELS."""
    for number, states_of_level in ((3, OUT), (2, COMING_OR_GOING), (1, IN_DOUBT)):
        if state in states_of_level:
            return number
    return 0


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
    return figure(finding(result, edges, rows), [heat], **below_events(more, len(rows)))


def strips(edges: list[float], rows: Mapping[str, list[int]]) -> Trace:
    """Return the trace of a heat map with a row of levels for each name; `edges` are those of its cells."""
    return {
        "type": "heatmap",
        "x": rounded(edges),
        "y": list(rows),
        "z": list(rows.values()),
        "zmin": -0.5,
        "zmax": len(LEVELS) - 0.5,
        "ygap": 2,
        "colorscale": [(edge / len(LEVELS), c) for i, c in enumerate(COLOURS) for edge in (i, i + 1)],
        "colorbar": {
            "tickvals": list(range(len(LEVELS))),
            "ticktext": list(LEVELS),
            "thickness": 10,
            "outlinewidth": 0,
        },
    }


def finding(result: Result, edges: list[float], rows: dict[str, list[int]]) -> str:
    """Return the finding of a heat map of states: how many are out at once, and which is out longest."""
    out = {
        name: sum(b - a for (a, b), bad in zip(pairwise(edges), row, strict=True) if bad > 1)
        for name, row in rows.items()
    }
    name = max(out, key=out.__getitem__)
    of = title(result.policy)
    if not out[name]:
        return f"Every server is in service all the time ({of})"
    whole = duration(result.experiment.traffic.duration)
    longest = f"{duration(out[name])} of {whole} ({of})"
    some = sum(seconds > 0 for seconds in out.values())
    if some == 1:
        return f"{name} is out of service for {longest}"
    most = max(sum(bad > 1 for bad in column) for column in zip(*rows.values(), strict=True))
    return f"{some} of {len(rows)} servers go out of service, at most {most} at a time; {name} for {longest}"

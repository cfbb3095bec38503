"""A figure of how soon a server that joins takes its part of the requests."""

from __future__ import annotations

from collections.abc import Sequence

from lbkit.events import Action
from lbkit.result import Result
from lbkit.viz.drawing import Figure, answered, figure, line
from lbkit.viz.over_time import time_layout
from lbkit.viz.style import axis

FIRST = 10.0  # seconds after the join that the title is about


def newcomer(results: Sequence[Result], server: str, step: float = 5.0) -> Figure:
    """Return the share of requests that `server` answers, by time of arrival, in steps of `step` seconds."""
    rows = answered(results)
    traces = []
    for name, style, result in rows:
        steps = int(result.experiment.traffic.duration / step + 1e-9)
        parts = [share(result, server, i * step, (i + 1) * step) for i in range(steps)]
        middles = [(i + 0.5) * step for i in range(steps)]
        traces.append(line(name, style, middles, parts, "%{y:.1%} at %{x:.3~g} s"))
    more = time_layout(rows[0][2].experiment) if rows else {}
    shares = axis(f"share of {server}", tickformat=".0%", rangemode="tozero")
    said = [f"{share(r, server, joined(r, server), joined(r, server) + FIRST):.0%} ({n})" for n, _, r in rows]
    finding = f"In its first {FIRST:g} s {server} answers {', '.join(said)} of the requests" if said else ""
    return figure(finding, traces, yaxis=shares, **more)


def share(result: Result, server: str, since: float, until: float) -> float:
    """Return the share of a server in the requests that arrived from `since` on, and before `until`."""
    index = result.backends.index(server)
    there = [b for b, t in zip(result.backend, result.arrival, strict=True) if since <= t < until]
    return there.count(index) / len(there) if there else 0.0


def joined(result: Result, server: str) -> float:
    """Return when a server joins; 0 for one that is there from the beginning."""
    events = result.experiment.timeline
    return next((e.at for e in events if e.action is Action.ADD and e.server == server), 0.0)

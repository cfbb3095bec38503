"""A figure of capacity planning: a quantile of latency against the number of servers."""

from __future__ import annotations

from lbkit.capacity import Capacity
from lbkit.viz.drawing import Figure, Trace, figure, latency_axis, line
from lbkit.viz.latency import rounded
from lbkit.viz.style import FAILED, INK, SYMBOLS, axis, duration, shade


def capacity(found: Capacity) -> Figure:
    """Return the quantile for each number of servers that was tried, with its confidence interval, and the
    limit as a line. Marks below it are filled for numbers that are enough, open for the others."""
    simulated = [step for step in found.steps if step.latency is not None]
    latencies = [step.latency for step in simulated if step.latency is not None]
    name = f"p{100 * found.quantile:g}"
    enough = [found.verdict(step) == "yes" for step in simulated]
    bars = {"array": rounded(one.half for one in latencies), "thickness": 1, "width": 4, "color": INK}
    marks: Trace = line(
        name,
        shade(0),
        [step.servers for step in simulated],
        rounded(one.mean for one in latencies),
        f"%{{x}} servers: {name} %{{text}}",
        text=[
            f"{duration(one)}, {found.verdict(step)}" for step, one in zip(simulated, latencies, strict=True)
        ],
        mode="lines+markers",
        error_y=bars,
        showlegend=False,
        marker={"symbol": [SYMBOLS[0] if yes else f"{SYMBOLS[0]}-open" for yes in enough], "size": 10},
    )
    limit: Trace = line(
        f"limit, {duration(found.limit)}",
        shade(2),
        [found.steps[0].servers, found.steps[-1].servers],
        [found.limit] * 2,
        "%{y:.3~g} s",
    )
    limit["line"] = {"color": FAILED, "dash": "dot", "width": 2}
    traces = [marks, limit]
    least = found.steps[0].servers
    under = axis(
        "servers",
        range=[least - 0.5, found.steps[-1].servers + 0.5],
        tickvals=[s.servers for s in found.steps],
    )
    return figure(found.statement, traces, xaxis=under, yaxis=latency_axis(traces, "y", name))

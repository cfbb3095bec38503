"""A figure of the shares of requests by backend."""

from __future__ import annotations

from collections.abc import Sequence

from lbkit.experiment import Experiment
from lbkit.result import Result
from lbkit.viz.drawing import Figure, drawn, labelled
from lbkit.viz.sketch import Sketch, Trace, sketched
from lbkit.viz.style import INK, Look, axis

NEAR = 0.01  # a share this near to the share of the capacity is as good as equal


def shares(results: Sequence[Result]) -> Figure:
    """Return the share of requests that each backend answered, beside its share of the capacity."""
    return drawn(shares_sketch(results))


def shares_sketch(results: Sequence[Result]) -> Sketch:
    """Return the data of `shares`."""
    rows = [row for row in labelled(results) if any(row[2].counts.values())]
    traces: list[Trace] = [
        {
            "type": "bar",
            "name": name,
            "x": list(result.shares),
            "y": [round(share, 5) for share in result.shares.values()],
            "marker": style.marker,
            "hovertemplate": f"{name}<br>%{{x}}: %{{y:.2%}}<extra></extra>",
        }
        for name, style, result in rows
    ]
    if traces:
        traces.append(capacity_marks(results[0].experiment))
    return sketched(
        furthest(rows),
        traces,
        xaxis=axis("backend", type="category", showgrid=False),
        yaxis=axis("share of requests", tickformat=".0%", rangemode="tozero"),
    )


def furthest(rows: Sequence[tuple[str, Look, Result]]) -> str:
    """Return the finding: the share that is furthest from the server's share of the capacity."""
    found = [
        (share - capacity, server, share, capacity, name)
        for name, _, result in rows
        for (server, share), capacity in zip(
            result.shares.items(), capacity_shares(result.experiment), strict=True
        )
    ]
    if not found:
        return ""
    off, server, share, capacity, name = max(found, key=lambda row: abs(row[0]))
    if abs(off) < NEAR:
        return "Every server gets its share of the capacity"
    return f"{server} has {capacity:.0%} of the capacity and gets {share:.0%} of the requests ({name})"


def capacity_shares(experiment: Experiment) -> list[float]:
    """Return each server's share of the capacity of all."""
    total = sum(s.capacity for s in experiment.leaves)
    return [s.capacity / total for s in experiment.leaves]


def capacity_marks(experiment: Experiment) -> Trace:
    """Return a mark at each server's share of the capacity."""
    wide = 300 / len(experiment.leaves)  # pixels, about the width of a group of bars
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "share of capacity",
        "x": [s.name for s in experiment.leaves],
        "y": [round(share, 5) for share in capacity_shares(experiment)],
        "marker": {"symbol": "line-ew", "size": min(wide, 60), "line": {"color": INK, "width": 2}},
        "hovertemplate": "share of capacity<br>%{x}: %{y:.2%}<extra></extra>",
    }

"""Figures over time: latency, answers and queues, with events marked. Time in seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

import plotly.graph_objects as go

from lbkit.experiment import Experiment
from lbkit.result import Result, percentile
from lbkit.viz.drawing import MS, answered, figure, line, log_ms, names_beside
from lbkit.viz.style import GRID, HEAT, INK, axis, look, policy_look, title

STEPS = 60  # points of a line over time, unless a step is given
COLUMNS = 120  # of a heat map


def over_time(
    name: str, lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], **more: Any
) -> go.Figure:
    """Return any values over time: `lines` maps a policy's name to seconds and values."""
    traces = [line(title(p), policy_look(p), *points, "%{x:.3~g} s: %{y}") for p, points in lines.items()]
    return figure(name, traces, xaxis=axis("time (s)"), **more)


def latency_over_time(results: Sequence[Result], step: float | None = None) -> go.Figure:
    """Return mean latency in ms by time of arrival, in steps of `step` seconds; of one result also p99."""
    rows = answered(results)
    kinds = STATISTICS if len(rows) == 1 else {"mean": STATISTICS["mean"]}
    traces = []
    for name, style, result in rows:
        width = step or result.experiment.traffic.duration / STEPS
        for kind, (of, change) in kinds.items():
            times, values = result.over_time(width, of)
            x = [t + width / 2 for t in times]
            y = [v * MS if isfinite(v) else None for v in values]  # JSON has no nan
            shown = f"{name}, {kind}" if len(kinds) > 1 else name
            hover = f"{kind} %{{y:.4g}} ms at %{{x:.1f}} s"
            traces.append(line(shown, style, x, y, hover, line=style.line | change))
    more = time_layout(rows[0][2].experiment) if rows else {}
    name = "Latency over time" if len(kinds) > 1 else "Mean latency over time"
    return figure(name, traces, yaxis=log_ms(traces, "y"), **more)


# Name -> (of unsorted latencies, how its line differs).
STATISTICS: dict[str, tuple[Callable[[list[float]], float], dict[str, Any]]] = {
    "mean": (lambda values: sum(values) / len(values), {}),
    "p99": (lambda values: percentile(sorted(values), 99), {"width": 1, "dash": "dot"}),
}


def backend_load(result: Result, step: float | None = None) -> go.Figure:
    """Return the answers a second of each backend, counted in whole steps of `step` seconds."""
    duration = result.experiment.traffic.duration
    step = min(step or duration / STEPS, duration)
    steps = int(duration / step + 1e-9)
    counts = [[0] * steps for _ in result.backends]
    for backend, end in zip(result.backend, result.end, strict=True):
        if backend >= 0 and (slot := int(end / step)) < steps:
            counts[backend][slot] += 1
    times = [(i + 0.5) * step for i in range(steps)]
    traces = [
        line(name, look(i), times, [c / step for c in counts[i]], "%{y:.4g} requests/s at %{x:.1f} s")
        for i, name in enumerate(result.backends)
    ]
    return figure(
        f"Answers by backend, {title(result.policy)}",
        traces if any(map(any, counts)) else [],
        yaxis=axis("answers (requests/s)", rangemode="tozero"),
        **time_layout(result.experiment),
        **names_beside(traces),
    )


def in_flight(result: Result, step: float | None = None, scale_max: float | None = None) -> go.Figure:
    """Return the requests in the system, a row for each backend, sampled every `step` seconds.

    `scale_max`: requests at the end of the colour scale, to compare several results."""
    horizon = max(result.end, default=0.0)
    times, levels = result.in_flight(step or horizon / COLUMNS or 1.0)
    scale_max = scale_max or max(max(level, default=0) for level in levels.values())
    heat = {
        "type": "heatmap",
        "x": times,
        "y": list(levels),
        "z": list(levels.values()),
        "zmin": 0,
        "zmax": scale_max or 1,
        "colorscale": HEAT,
        "colorbar": {"title": {"text": "requests"}, "thickness": 10, "outlinewidth": 0},
        "hovertemplate": "%{y}: %{z} requests at %{x:.1f} s<extra></extra>",
    }
    rows = axis("backend", type="category", autorange="reversed", showgrid=False)
    more = time_layout(result.experiment, horizon)
    return figure(
        f"Requests in the system, {title(result.policy)}", [heat] if len(result) else [], yaxis=rows, **more
    )


def time_layout(experiment: Experiment, horizon: float | None = None) -> dict[str, Any]:
    """Return the time axis in seconds, with the warm-up in grey and a line at each event."""
    end = horizon or experiment.traffic.duration
    happening: dict[tuple[float, str], list[str]] = {}
    for event in experiment.events:
        if event.at <= end:
            happening.setdefault((event.at, title(event.action.value)), []).append(event.server)
    shapes = [VERTICAL | {"x0": at, "x1": at} for at, _ in happening]
    notes = [
        BESIDE | {"x": at, "text": f"{what} {', '.join(names)}"} for (at, what), names in happening.items()
    ]
    if experiment.traffic.warmup:
        shapes.append(WARMUP | {"x1": experiment.traffic.warmup})
        notes.append(BESIDE | {"x": 0, "text": "warm-up"})
    time = axis("time (s)", range=[0, end], showgrid=False)
    return {"xaxis": time, "shapes": shapes, "annotations": notes}


VERTICAL = {
    "type": "line",
    "y0": 0,
    "y1": 1,
    "yref": "paper",
    "line": {"color": INK, "width": 1, "dash": "dot"},
}
BESIDE = {
    "y": 1,
    "yref": "paper",
    "yanchor": "top",
    "xanchor": "left",
    "textangle": -90,
    "showarrow": False,
    "font": {"size": 10, "color": INK},
}
WARMUP = {
    "type": "rect",
    "x0": 0,
    "y0": 0,
    "y1": 1,
    "yref": "paper",
    "fillcolor": GRID,
    "line": {"width": 0},
    "layer": "below",
}

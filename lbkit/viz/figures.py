"""Figures of results. Pure functions, quick enough to be called while a slider is dragged.

Results have seconds; figures show latencies in milliseconds and time in seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

import plotly.graph_objects as go

from lbkit.experiment import Experiment
from lbkit.result import PERCENTILES, Result, percentile
from lbkit.viz.style import GRID, HEAT, INK, Look, axis, engine_look, layout, look, policy_look, title

MS = 1e3  # milliseconds in a second
STEPS = 60  # points of a line over time, where nobody says how many
COLUMNS = 120  # of a heat map
MANY = 8  # lines from which on their names stand in a column, which scrolls

# Percentiles at which a cumulative line has its points: even, then closer and closer to 100.
GRID_OF_CDF = sorted(
    {float(q) for q in range(101)} | {100 - 10 ** (1 - i / 12) for i in range(48)} | {*PERCENTILES}
)

Trace = dict[str, Any]
Columns = tuple[Sequence[float], Sequence[float]]  # seconds, values
Curves = Mapping[str, Iterable[tuple[float, float]]]  # name -> (utilisation, seconds), ...


def figure(name: str, traces: list[Trace], **more: Any) -> go.Figure:
    """A figure in the common style; without any trace, a note that there is nothing to see.

    Validation is four fifths of the time that plotly takes for a figure. It is off while our own
    data go in, which tests validate instead, and on for what a learner changes afterwards."""
    if not traces:
        more = {"annotations": [note("no good answers")], "xaxis": HIDDEN, "yaxis": HIDDEN}
    drawn = go.Figure(data=traces, layout=layout(name, **more), _validate=False)
    for part in (drawn, drawn.layout, *drawn.data):
        part._validate = True
    return drawn


HIDDEN = {"visible": False}


def note(text: str) -> dict[str, Any]:
    """A text in the middle."""
    middle = {"x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper"}
    return {"text": text, "showarrow": False, "font": {"size": 14, "color": INK}, **middle}


# -- which line is whose ------------------------------------------------------------------

# In what results of one policy may differ; the first is the most telling.
FACTS: tuple[Callable[[Result], str], ...] = (
    lambda r: r.engine,
    lambda r: ", ".join(f"{k}={v}" for k, v in r.experiment.policy.options.items()),
    lambda r: r.experiment.policy.keyed_by,
    lambda r: f"{n} balancers" if (n := r.experiment.policy.balancers) > 1 else "1 balancer",
    lambda r: "" if r.experiment.load is None else f"load {r.experiment.load:.0%}",
    lambda r: r.experiment.name,
    lambda r: f"seed {r.experiment.seed}",
)


def labelled(results: Sequence[Result]) -> list[tuple[str, Look, Result]]:
    """Each result with its name and look: the policy's, and where it is there twice, what differs.

    Of one policy on many engines, dashes would be hard to tell apart: then engines have the colours."""
    engines = {r.engine for r in results}
    by_engine = len({r.policy for r in results}) == 1 and 2 < len(engines) == len(results)
    seen: Counter[str] = Counter()
    rows = []
    for result in results:
        twins = [r for r in results if r.policy == result.policy]
        differing = [fact(result) for fact in FACTS if len({fact(r) for r in twins}) > 1]
        name = ", ".join([title(result.policy), *filter(None, differing)])
        own = engine_look(result.engine) if by_engine else policy_look(result.policy, seen[result.policy])
        rows.append((name, own, result))
        seen[result.policy] += 1
    return rows


def answered(results: Sequence[Result]) -> list[tuple[str, Look, Result]]:
    """`labelled`, those that have a good answer."""
    return [row for row in labelled(results) if row[2].latencies()]


def line(name: str, style: Look, x: Sequence[Any], y: Sequence[Any], hover: str, **more: Any) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x,
        "y": y,
        "line": style.line,
        "hovertemplate": f"{name}<br>{hover}<extra></extra>",
        **more,
    }


def log_ms(traces: Sequence[Trace], coordinate: str) -> dict[str, Any]:
    """A logarithmic axis of latencies in ms. Of ticks 10 and 20, plotly would write the second as 2."""
    values = [v for trace in traces for v in trace[coordinate] if v]
    ratio = max(values, default=1.0) / min(values, default=1.0)
    if ratio < 8:
        return axis("latency (ms)", type="log")  # two or three of our ticks would be too few
    steps = (1, 2, 5) if ratio < 2000 else (1,)
    ticks = [step * 10.0**power for power in range(-3, 7) for step in steps]
    return axis("latency (ms)", type="log", tickvals=ticks, ticktext=[f"{t:g}" for t in ticks])


# -- latency ------------------------------------------------------------------------------


def latency_cdf(results: Sequence[Result]) -> go.Figure:
    """Share of the good answers that took no longer than so many ms; p99 and p99.9 are marked."""
    rows = answered(results)
    traces = [cdf_line(*row) for row in rows] + [cdf_marks(*row) for row in rows]
    y = axis("answers within that time", tickformat=".0%", range=[0, 1.02])
    return figure("How long requests take", traces, xaxis=log_ms(traces, "x"), yaxis=y)


def cdf_line(name: str, style: Look, result: Result) -> Trace:
    ordered = result.latencies()
    x = [percentile(ordered, q) * MS for q in GRID_OF_CDF]
    y = [q / 100 for q in GRID_OF_CDF]
    return line(name, style, x, y, "%{y:.4p} within %{x:.4g} ms", legendgroup=name)


def cdf_marks(name: str, style: Look, result: Result) -> Trace:
    marked = (99, 99.9)
    return line(
        name,
        style,
        [result.percentile(q) * MS for q in marked],
        [q / 100 for q in marked],
        "%{text}: %{x:.4g} ms",
        text=[f"p{q}" for q in marked],
        mode="markers",
        marker={"color": style.colour, "size": 7, "symbol": ["circle", "diamond"]},
        legendgroup=name,
        showlegend=False,
    )


def percentiles(results: Sequence[Result]) -> go.Figure:
    """Median and tail, a line a policy, in ms."""
    x = [f"p{q:g}" for q in PERCENTILES]
    traces = [
        line(
            name,
            style,
            x,
            [result.percentile(q) * MS for q in PERCENTILES],
            "%{x}: %{y:.4g} ms",
            mode="lines+markers",
        )
        for name, style, result in answered(results)
    ]
    named = axis("share of answers that are faster (%)", type="category")
    return figure("Median and tail", traces, xaxis=named, yaxis=log_ms(traces, "y"))


def response_time_curve(curves: Curves, theory: Curves | None = None) -> go.Figure:
    """Mean response time in ms against utilisation, 0 to 1; `theory` as thin dashed lines.

    Both: name -> (utilisation, seconds) pairs. Theory has the colour of the curve of its name."""
    measured = [
        line(title(name), policy_look(name), *in_ms(points), CURVE_HOVER, mode="lines+markers")
        for name, points in curves.items()
    ]
    closed_forms = [
        line(f"{title(name)}, theory", Look(INK), *in_ms(points), CURVE_HOVER, line=thin(name, curves))
        for name, points in (theory or {}).items()
    ]
    traces = [trace for trace in measured + closed_forms if trace["x"]]
    return figure(
        "Response time and utilisation",
        traces,
        xaxis=axis("utilisation", tickformat=".0%", range=[0, 1]),
        yaxis=axis("mean response time (ms)", rangemode="tozero"),
    )


CURVE_HOVER = "%{x:.0%} busy: %{y:.4g} ms"


def thin(name: str, curves: Curves) -> dict[str, Any]:
    return {"color": policy_look(name).colour if name in curves else INK, "dash": "dash", "width": 1}


def in_ms(points: Iterable[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Utilisations and ms, ascending; without points that are not finite, as at a load of 1."""
    finite = sorted((rho, seconds * MS) for rho, seconds in points if isfinite(seconds))
    return [rho for rho, _ in finite], [ms for _, ms in finite]


# -- over time ----------------------------------------------------------------------------


def over_time(
    name: str, lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], **more: Any
) -> go.Figure:
    """Anything second by second: `lines` maps a policy's name to seconds and values."""
    traces = [line(title(p), policy_look(p), *points, "%{x:.3~g} s: %{y}") for p, points in lines.items()]
    return figure(name, traces, xaxis=axis("time (s)"), **more)


def latency_over_time(results: Sequence[Result], step: float | None = None) -> go.Figure:
    """Mean latency in ms of the requests that arrived in each `step` seconds; of a single result p99, too."""
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
    """Requests a second that each backend answered, counted in whole steps of `step` seconds."""
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


def in_flight(result: Result, step: float | None = None, most: float | None = None) -> go.Figure:
    """Requests in the system, a row a backend, looked at every `step` seconds.

    `most`: requests at the end of the colour scale, to compare several results."""
    horizon = max(result.end, default=0.0)
    times, levels = result.in_flight(step or horizon / COLUMNS or 1.0)
    most = most or max(max(level, default=0) for level in levels.values())
    heat = {
        "type": "heatmap",
        "x": times,
        "y": list(levels),
        "z": list(levels.values()),
        "zmin": 0,
        "zmax": most or 1,
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
    """The axis of time in seconds, with the warm-up in grey and a line at each event."""
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


def names_beside(traces: Sequence[Trace]) -> dict[str, Any]:
    """Where many names would take the figure's height, they stand beside it."""
    return {"legend": {"orientation": "v", "x": 1.02, "y": 1}} if len(traces) > MANY else {}


# -- who gets how much --------------------------------------------------------------------


def shares(results: Sequence[Result]) -> go.Figure:
    """Share of the requests that each backend answered, and what would be fair by its capacity."""
    traces: list[Trace] = [
        {
            "type": "bar",
            "name": name,
            "x": list(result.shares),
            "y": list(result.shares.values()),
            "marker": style.marker,
            "hovertemplate": f"{name}<br>%{{x}}: %{{y:.2%}}<extra></extra>",
        }
        for name, style, result in labelled(results)
        if any(result.counts.values())
    ]
    if traces:
        traces.append(fair_shares(results[0].experiment))
    return figure(
        "Who answers how much",
        traces,
        xaxis=axis("backend", type="category"),
        yaxis=axis("share of requests", tickformat=".0%", rangemode="tozero"),
    )


def fair_shares(experiment: Experiment) -> Trace:
    total = sum(s.capacity for s in experiment.servers)
    wide = 300 / len(experiment.servers)  # pixels, about the width of a group of bars
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "fair by capacity",
        "x": [s.name for s in experiment.servers],
        "y": [s.capacity / total for s in experiment.servers],
        "marker": {"symbol": "line-ew", "size": min(wide, 60), "line": {"color": INK, "width": 2}},
        "hovertemplate": "fair by capacity<br>%{x}: %{y:.2%}<extra></extra>",
    }

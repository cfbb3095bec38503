"""Figures of latency: its distribution, percentiles, and growth with utilisation. In milliseconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

import plotly.graph_objects as go

from lbkit.result import PERCENTILES, Result, percentile
from lbkit.viz.drawing import MS, Trace, answered, figure, line, log_ms
from lbkit.viz.style import INK, Look, axis, policy_look, title

# Percentiles at the points of a cumulative line: evenly spaced, then ever closer to 100.
GRID_OF_CDF = sorted(
    {float(q) for q in range(101)} | {100 - 10 ** (1 - i / 12) for i in range(48)} | {*PERCENTILES}
)
Curves = Mapping[str, Iterable[tuple[float, float]]]  # name -> (utilisation, seconds), ...


def latency_cdf(results: Sequence[Result]) -> go.Figure:
    """Return the cumulative distribution of latency of the good answers, with p99 and p99.9 marked."""
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
    """Return the median and the tail in ms, a line for each policy."""
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
    """Return mean response time in ms against utilisation, 0 to 1; `theory` as thin dashed lines.

    Both: name -> (utilisation, seconds) pairs. A line of theory has the colour of the curve of the same
    name."""
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
    """Return utilisations and ms, ascending, without points that are not finite, as at a load of 1."""
    finite = sorted((rho, seconds * MS) for rho, seconds in points if isfinite(seconds))
    return [rho for rho, _ in finite], [ms for _, ms in finite]

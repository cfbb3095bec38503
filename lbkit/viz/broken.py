"""Figures of layers of balancers: what each noticed of a node that broke, and where the time goes."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan

from lbkit.layers import Layer
from lbkit.result import Result, good
from lbkit.topology import Broken
from lbkit.viz.drawing import Figure, Trace, figure
from lbkit.viz.latency import rounded
from lbkit.viz.style import BLUE, FAILED, INK, axis, duration

ROW = 30  # pixels
LOST = "lost requests"
WORK = "servers' work"


def noticed(broken: Broken) -> Figure:
    """Return a figure of what each layer above a broken node noticed, over the seconds since it broke.

    A circle is the first failed request, a square the moment when health rules took the node out of service.
    Ticks in the lowest row are lost requests."""
    result, at = broken.result, broken.at
    lost = [
        arrival - at
        for arrival, status in zip(result.arrival, result.status, strict=True)
        if arrival >= at and not good(status)
    ]
    rows = [LOST, *(notice.layer for notice in broken.notices)]  # from below
    traces = [
        _marks("a request fails", broken, "failure", "circle-open", INK),
        _marks("it is out of service", broken, "out", "square", BLUE),
        {
            "type": "scatter",
            "mode": "markers",
            "name": LOST,
            "x": rounded(lost),
            "y": [LOST] * len(lost),
            "marker": {"symbol": "line-ns", "size": 12, "line": {"width": 1, "color": FAILED}},
            "hovertemplate": "lost after %{x:.3~g} s<extra></extra>",
        },
    ]
    seen = [x for trace in traces for x in trace["x"]]
    end = broken.until - at if not seen or max(seen) > (broken.until - at) / 2 else max(seen) * 1.15
    return figure(
        str(broken),
        traces,
        height=150 + ROW * len(rows),
        xaxis=axis(f"seconds since {broken.node} broke", range=[-0.02 * end, end]),
        yaxis=axis(categoryorder="array", categoryarray=rows, range=[-0.5, len(rows) - 0.5]),
    )


def _marks(name: str, broken: Broken, which: str, symbol: str, colour: str) -> Trace:
    there = [notice for notice in broken.notices if getattr(notice, which) < inf]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": rounded(getattr(notice, which) for notice in there),
        "y": [notice.layer for notice in there],
        "text": [f"{notice.node}, {duration(getattr(notice, which))}" for notice in there],
        "marker": {"symbol": symbol, "size": 11, "color": colour, "line": {"width": 2, "color": colour}},
        "hovertemplate": f"%{{y}}: {name}, %{{text}}<extra></extra>",
    }


def time_by_layer(result: Result) -> Figure:
    """Return the seconds that each depth of a tree adds to a request, mean, and the servers' work below all.

    Layers of one depth are one bar, which has the name of the first. Raises ValueError without tiers."""
    if not result.layers:
        raise ValueError("result has no layers: give its experiment tiers")
    depths: dict[int, list[Layer]] = {}
    for layer in result.layers:
        depths.setdefault(layer.depth, []).append(layer)
    names = [named(layers) for layers in depths.values()] + [WORK]
    seconds = [added(layers) for layers in depths.values()] + [_work(result)]
    most = max(range(len(names)), key=lambda i: -1.0 if seconds[i] != seconds[i] else seconds[i])
    bar: Trace = {
        "type": "bar",
        "orientation": "h",
        "x": [None if value != value else round(value, 6) for value in seconds],
        "y": names,
        "text": [duration(value) for value in seconds],
        "textposition": "auto",
        "marker": {"color": [BLUE if i == most else INK for i in range(len(names))]},
        "hovertemplate": "%{y}: %{text}<extra></extra>",
    }
    return figure(
        f"Of a request's time, {names[most]} takes the most: {duration(seconds[most])}",
        [bar],
        height=120 + ROW * len(names),
        xaxis=axis("seconds of a request, mean", rangemode="tozero"),
        yaxis=axis(categoryorder="array", categoryarray=names[::-1]),
    )


def named(layers: Sequence[Layer]) -> str:
    """Return the name of a depth: that of its layer, or of the first of several."""
    return layers[0].title if len(layers) == 1 else f"{layers[0].title}, ..."


def added(layers: Sequence[Layer]) -> float:
    """Return the mean seconds that layers of one depth add to a request; nan if no layer reports it."""
    known = [layer for layer in layers if layer.added == layer.added and layer.requests > 0]
    requests = sum(layer.requests for layer in known)
    return sum(layer.added * layer.requests for layer in known) / requests if requests else nan


def _work(result: Result) -> float:
    served = [work for work, backend in zip(result.service, result.backend, strict=True) if backend >= 0]
    return sum(served) / len(served) if served else nan

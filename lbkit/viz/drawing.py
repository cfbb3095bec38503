"""The parts that figures share: the common style, labelled lines, axes. No widgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import plotly.graph_objects as go

from lbkit.result import Result
from lbkit.viz.style import INK, Look, axis, engine_look, layout, policy_look, title

Trace = dict[str, Any]
MS = 1e3  # milliseconds in a second
MANY = 8  # with more lines than this, the legend is a column that scrolls


def figure(name: str, traces: list[Trace], **more: Any) -> go.Figure:
    """Return a figure in the common style; without traces, with a note that there is no data.

    Validation takes four fifths of plotly's time for a figure. It is off for our own data, which the tests
    validate, and on for later changes by the user."""
    if not traces:
        more = {"annotations": [note("no good answers")], "xaxis": HIDDEN, "yaxis": HIDDEN}
    drawn = go.Figure(data=traces, layout=layout(name, **more), _validate=False)
    for part in (drawn, drawn.layout, *drawn.data):
        part._validate = True
    return drawn


HIDDEN = {"visible": False}


def note(text: str) -> dict[str, Any]:
    """Return an annotation in the middle of a figure."""
    middle = {"x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper"}
    return {"text": text, "showarrow": False, "font": {"size": 14, "color": INK}, **middle}


# Differences between results of one policy, the most important first.
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
    """Return each result with its label and look: of its policy, with the differences if there are several.

    For one policy on more than two engines the dashes would be hard to distinguish: then each engine has a
    colour."""
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
    """Return `labelled` for the results with at least one good answer."""
    return [row for row in labelled(results) if row[2].latencies()]


def line(name: str, style: Look, x: Sequence[Any], y: Sequence[Any], hover: str, **more: Any) -> Trace:
    """Return a line; `hover` is the template of its hover text."""
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
    """Return a logarithmic axis of latencies in ms, with its own ticks: plotly would write 20 as 2."""
    values = [v for trace in traces for v in trace[coordinate] if v]
    ratio = max(values, default=1.0) / min(values, default=1.0)
    if ratio < 8:
        return axis("latency (ms)", type="log")  # two or three of our ticks would be too few
    steps = (1, 2, 5) if ratio < 2000 else (1,)
    ticks = [step * 10.0**power for power in range(-3, 7) for step in steps]
    return axis("latency (ms)", type="log", tickvals=ticks, ticktext=[f"{t:g}" for t in ticks])


def names_beside(traces: Sequence[Trace]) -> dict[str, Any]:
    """Return the layout that puts a long legend beside the figure instead of below it."""
    return {"legend": {"orientation": "v", "x": 1.02, "y": 1}} if len(traces) > MANY else {}

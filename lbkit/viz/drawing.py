"""Parts of all figures: a figure in the common style, named lines, axes. Imports no widget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import plotly.graph_objects as go

from lbkit.result import Result
from lbkit.viz.style import INK, Look, axis, engine_look, layout, policy_look, title

Trace = dict[str, Any]
MS = 1e3  # milliseconds in a second
MANY = 8  # lines from which on their names stand in a column, which scrolls


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


def names_beside(traces: Sequence[Trace]) -> dict[str, Any]:
    """Where many names would take the figure's height, they stand beside it."""
    return {"legend": {"orientation": "v", "x": 1.02, "y": 1}} if len(traces) > MANY else {}

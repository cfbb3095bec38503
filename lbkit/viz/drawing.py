"""The parts that figures share: the common style, labelled lines, axes. No widgets."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go
import plotly.io as pio

from lbkit import needs
from lbkit.result import Result
from lbkit.viz.alt_text import as_html
from lbkit.viz.sketch import HIDDEN as HIDDEN
from lbkit.viz.sketch import Sketch, sketched
from lbkit.viz.sketch import Trace as Trace
from lbkit.viz.sketch import note as note
from lbkit.viz.style import Look, axis, duration, policy_look, title

CONFIG = {
    "displayModeBar": False,  # the toolbar would cover the title; dragging zooms, a double click resets
    "responsive": True,
}


class Figure(go.Figure):  # type: ignore[misc]
    """A plotly figure that notebooks show without the toolbar."""

    def _ipython_display_(self) -> None:
        if needs.IN_A_BROWSER:  # where pio.show misses nbformat, which is not pure Python
            from lbkit.viz.widget import FigureView

            FigureView(self)._ipython_display_()
        elif pio.renderers.render_on_display and pio.renderers.default:
            pio.show(self, config=CONFIG)
            if "IPython" in sys.modules:
                from IPython.display import display

                show: Any = display
                show({"text/html": as_html(self), "text/plain": ""}, raw=True)
        else:
            super()._ipython_display_()


def drawn(sketch: Sketch) -> Figure:
    """Return the figure of a sketch.

    Validation takes four fifths of plotly's time for a figure. It is off for our own data, which the tests
    validate, and on for later changes by the user."""
    figure = Figure(data=sketch.data, layout=sketch.layout, _validate=False)
    for part in (figure, figure.layout, *figure.data):
        part._validate = True
    return figure


def figure(name: str, traces: list[Trace], **more: Any) -> Figure:
    """Return a figure in the common style; without traces, with a note that there is no data."""
    return drawn(sketched(name, traces, **more))


# Differences between results of one policy, the most important first.
FACTS: tuple[Callable[[Result], str], ...] = (
    lambda r: f"on {r.engine}",
    lambda r: ", ".join(f"{k}={v}" for k, v in r.experiment.policy.options.items()),
    lambda r: r.experiment.policy.keyed_by,
    lambda r: f"{n} balancers" if (n := r.experiment.policy.balancers) > 1 else "1 balancer",
    lambda r: "" if r.experiment.load is None else f"load {r.experiment.load:.0%}",
    lambda r: r.experiment.name,
    lambda r: f"seed {r.experiment.seed}",
)


def labelled(results: Sequence[Result]) -> list[tuple[str, Look, Result]]:
    """Return each result with its label and look.

    The colour is the policy's and the symbol the engine's. Results of one policy differ in their dashes, and
    their labels name what differs. A simulation beside other engines is a pale band."""
    seen: Counter[Look] = Counter()
    rows = []
    for result in results:
        twins = [r for r in results if r.policy == result.policy]
        differing = [fact(result) for fact in FACTS if len({fact(r) for r in twins}) > 1]
        name = ", ".join([title(result.policy), *filter(None, differing)])
        own = policy_look(result.policy)
        broad = result.engine == "sim" and len({r.engine for r in twins}) > 1
        shown = replace(own, number=own.number + seen[own], broad=broad).on(result.engine)
        rows.append((name, shown, result))
        seen[own] += 1
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
        **({"opacity": 0.4} if style.broad else {}),
        "hovertemplate": f"{name}<br>{hover}<extra></extra>",
        **more,
    }


def latency_axis(traces: Sequence[Trace], coordinate: str, name: str = "latency") -> dict[str, Any]:
    """Return a logarithmic axis of seconds with ticks in the units that people say: 20 ms, 10 s."""
    values = [v for trace in traces for v in trace[coordinate] if v]
    if not values:
        return axis(name, type="log", tickvals=[])
    ratio = max(values) / min(values)
    steps = (
        (1, 1.5, 2, 3, 5, 7) if ratio < 8 else (1, 2, 5) if ratio < 100 else (1, 3) if ratio < 5000 else (1,)
    )
    ticks = [step * 10.0**power for power in range(-6, 5) for step in steps]
    return axis(name, type="log", tickvals=ticks, ticktext=[duration(t) for t in ticks])

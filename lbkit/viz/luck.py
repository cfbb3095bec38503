"""A figure that says whether a difference between policies was luck: what decides, over many seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from lbkit.replicate import Comparison
from lbkit.viz.drawing import Figure, Trace, figure, latency_axis
from lbkit.viz.latency import rounded
from lbkit.viz.scenario import LOSSES, percent
from lbkit.viz.style import axis, duration, policy_look, title

ABOVE, BELOW = (
    0.34,
    0.16,
)  # of a row: how far above it the points of seeds begin, how far below the interval is


@dataclass(frozen=True, slots=True)
class Kind:
    """How a measure is written, and its axis."""

    said: str
    write: Callable[[Any], str]
    axis: Callable[[list[Trace]], dict[str, Any]]


KINDS = {
    "p99": Kind("p99", duration, lambda traces: latency_axis(traces, "x", "p99 (99 of 100 wait less)")),
    "error_rate": Kind("share of errors", percent, lambda _: axis("share of errors", tickformat=".1%")),
}


def luck(seeds: Comparison) -> Figure:
    """Return a row for each policy: a point for each seed, and the mean with its 95 % interval.

    They are of the p99 or, if policies differ in what they lose, of the share of errors. Seeds without a
    value, as nothing was answered, are left out."""
    measure = deciding(seeds)
    rows = {name: list(filter(isfinite, one.values_of(measure))) for name, one in seeds.items()}
    rows = {name: values for name, values in rows.items() if values}
    traces = [
        trace for number, name in enumerate(rows) for trace in row(seeds, name, measure, rows[name], number)
    ]
    return figure(
        finding(seeds, measure),
        traces,
        meta={"alt": said(seeds, measure, rows)},
        xaxis=KINDS[measure].axis(traces),
        yaxis=axis(
            tickvals=list(range(len(rows))),
            ticktext=[title(name) for name in rows],
            range=[len(rows) - 0.4, -0.6],
            showgrid=False,
            zeroline=False,
        ),
        showlegend=False,
    )


def deciding(seeds: Comparison) -> str:
    """Return the measure that decides between policies, as in the verdict."""
    rates = [one["error_rate"].mean for one in seeds.values()]
    return "error_rate" if max(rates) - min(rates) >= LOSSES else "p99"


def row(seeds: Comparison, name: str, measure: str, values: list[float], number: int) -> list[Trace]:
    """Return the points of a policy, and its interval."""
    colour, write, found = policy_look(name).colour, KINDS[measure].write, seeds[name][measure]
    step = ABOVE / max(1, len(values) - 1)
    ends = {"color": colour, "symbol": ["line-ns", "diamond", "line-ns"], "size": [14, 10, 14]}
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": rounded(values),
            "y": rounded(number - ABOVE + step * i for i in range(len(values))),
            "marker": {"color": colour, "size": 7, "opacity": 0.45},
            "text": [write(v) for v in values],
            "hovertemplate": f"{title(name)}, one seed: %{{text}}<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": rounded(
                [max(found.low, min(values)), found.mean, found.high]
            ),  # above 0: a logarithmic axis
            "y": [number + BELOW] * 3,
            "line": {"color": colour, "width": 4},
            "marker": ends | {"line": {"color": colour, "width": 3}},
            "hovertemplate": f"{title(name)}: {write(found)} over {len(values)} seeds<extra></extra>",
        },
    ]


def said(seeds: Comparison, measure: str, rows: Mapping[str, Sequence[float]]) -> str:
    """Return the means with their intervals in words."""
    means = [f"{title(name)} {KINDS[measure].write(seeds[name][measure])}" for name in rows]
    return f"{KINDS[measure].said}, mean with its 95 % interval: {'; '.join(means)}"


def finding(seeds: Comparison, measure: str) -> str:
    """Return in a sentence whether the seeds can tell the best policy from the others."""
    first, *equal = seeds.best(measure)
    runs, said = f"{len(seeds[first].seeds)} seeds", KINDS[measure].said
    if equal:
        names = ", ".join(title(name) for name in [first, *equal[:-1]])
        return f"It may be luck: {runs} cannot tell {names} and {title(equal[-1])} apart"
    each = zip(*(seeds[name].values_of(measure) for name in seeds), strict=True)
    at = list(seeds).index(first)
    ahead = sum(values[at] == min(values) for values in each)
    return f"Not luck: {title(first)} has the lowest {said} in {ahead} of {runs}"

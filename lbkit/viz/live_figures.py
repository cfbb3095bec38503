"""Figures of a live session: the last seconds, with the policies that ruled, errors, and what was changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, floor
from typing import Any, Protocol

from lbkit.result import Result, good, percentile
from lbkit.viz.drawing import Figure, Trace, figure, latency_axis, line
from lbkit.viz.lanes import lanes
from lbkit.viz.latency import rounded
from lbkit.viz.over_time import BESIDE, VERTICAL, busiest, lanes_of
from lbkit.viz.style import FAILED, axis, duration, policy_look, title


class Change(Protocol):
    """A change in a session, as in LiveSession.history; `policy` rules from `at` on."""

    @property
    def at(self) -> float: ...
    @property
    def what(self) -> str: ...
    @property
    def policy(self) -> str: ...


class Window:
    """The seconds that are shown, in steps at whole multiples of `step` since the start of the session."""

    def __init__(self, result: Result, history: Sequence[Change], first_policy: str, step: float) -> None:
        """`result`: of the last seconds only, as LiveSession.result(last=...) gives it."""
        self.result = result
        self.step = step
        self.begin: float = result.extra["since"]
        self.end = self.begin + result.experiment.traffic.duration
        self.first = floor(self.begin / step + 1e-9)
        self.steps = max(1, ceil(self.end / step - 1e-9) - self.first)
        self.times = rounded((self.first + i + 0.5) * step for i in range(self.steps))
        self.changes = [change for change in history if self.begin <= change.at <= self.end]
        self.reigns = [(0.0, first_policy), *((change.at, change.policy) for change in history)]

    def policy_at(self, time: float) -> str:
        """Return the policy that ruled at `time`."""
        return [name for begin, name in self.reigns if begin <= time or not begin][-1]

    def layout(self) -> dict[str, Any]:
        """Return the time axis with a labelled mark at each change."""
        return {
            "xaxis": axis("time since the start (s)", range=[self.begin, self.end], showgrid=False),
            "shapes": [VERTICAL | {"x0": change.at, "x1": change.at} for change in self.changes],
            "annotations": [BESIDE | {"x": change.at, "text": title(change.what)} for change in self.changes],
        }

    def __str__(self) -> str:
        return f"{self.begin:.0f} to {self.end:.0f} s"


def latency_history(window: Window) -> Figure:
    """Return mean and p99 of each step in the colour of the policy that ruled, and below them the errors."""
    result = window.result
    latencies: list[list[float]] = [[] for _ in range(window.steps)]
    counts = [0] * window.steps
    for arrival, end, status in zip(result.arrival, result.end, result.status, strict=True):
        slot = int((arrival + window.begin) / window.step) - window.first
        if 0 <= slot < window.steps:
            counts[slot] += 1
            if good(status):
                latencies[slot].append(end - arrival)
    ruling = [window.policy_at(t) for t in window.times]
    traces: list[Trace] = []
    for policy in dict.fromkeys(ruling):
        style = policy_look(policy)
        for kind, of, change in STATISTICS:
            y = [
                float(f"{of(sorted(values)):.5g}") if values and name == policy else None
                for name, values in zip(ruling, latencies, strict=True)
            ]
            text = [duration(v) if v is not None else "" for v in y]
            hover = f"{kind} %{{text}} at %{{x:.1f}} s"
            more = {"text": text, "line": style.line | change, "showlegend": kind == "mean"}
            traces.append(line(title(policy), style, window.times, y, hover, **more))
    failed = [
        1 - len(values) / count if count else 0.0 for values, count in zip(latencies, counts, strict=True)
    ]
    traces.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": "errors",
            "x": window.times,
            "y": rounded(failed),
            "yaxis": "y2",
            "fill": "tozeroy",
            "fillcolor": FAILED,
            "line": {"width": 0, "color": FAILED, "shape": "hvh"},
            "hovertemplate": "%{y:.1%} errors at %{x:.1f} s<extra></extra>",
        }
    )
    layout = window.layout()
    layout["xaxis"]["anchor"] = "y2"
    return figure(
        f"{title(window.policy_at(window.end))} rules; {worst(failed, window)}",
        traces,
        yaxis=latency_axis(traces[:-1], "y", "mean latency (thin: p99)") | {"domain": [0.25, 1]},
        yaxis2=axis("errors", domain=[0, 0.15], range=[0, 1], tickformat=".0%", tickvals=[0, 1]),
        **layout,
    )


STATISTICS: tuple[tuple[str, Callable[[list[float]], float], dict[str, Any]], ...] = (
    ("mean", lambda values: sum(values) / len(values), {}),
    ("p99", lambda values: percentile(values, 99), {"width": 1, "dash": "dot"}),
)


def worst(failed: Sequence[float], window: Window) -> str:
    """Return the finding about errors."""
    if not any(failed):
        return f"no errors from {window}"
    at = max(range(len(failed)), key=failed.__getitem__)
    return f"up to {failed[at]:.0%} errors, at {window.times[at]:.0f} s"


def server_history(window: Window) -> Figure:
    """Return the answers and errors of each server, a row for each."""
    start = window.first * window.step - window.begin
    shown = lanes_of(window.result, window.step, window.steps, start)
    policy = title(window.policy_at(window.end))
    return lanes(busiest(shown, policy), shown, window.times, **window.layout())

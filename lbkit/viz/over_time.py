"""Figures over time: latency, answers and queues, with events marked. Times in seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import inf, isfinite
from typing import Any

from lbkit.events import DEPENDENCY_STATES, Action, Event
from lbkit.experiment import Experiment
from lbkit.result import Result, good, percentile
from lbkit.viz.drawing import Figure, answered, drawn, figure, latency_axis, line
from lbkit.viz.lanes import BROAD, NARROW, ROOM, Lane, lanes
from lbkit.viz.latency import rounded
from lbkit.viz.sketch import Sketch, sketched
from lbkit.viz.style import GRID, HEAT, INK, axis, duration, named_look, title

STEPS = 60  # points of a line over time, unless a step is given
COLUMNS = 120  # of a heat map
CHARACTER = 6  # pixels of a letter in the names of events


def over_time(name: str, lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], **more: Any) -> Figure:
    """Return any values over time: `lines` maps a policy's name, or another one, to seconds and values."""
    traces = [
        line(title(p), named_look(p, number), *points, "%{x:.3~g} s: %{y}")
        for number, (p, points) in enumerate(lines.items())
    ]
    return figure(name, traces, xaxis=axis("time (s)"), **more)


def latency_over_time(results: Sequence[Result], step: float | None = None) -> Figure:
    """Return mean latency by time of arrival, in steps of `step` seconds; of one result also p99."""
    return drawn(latency_over_time_sketch(results, step))


def latency_over_time_sketch(results: Sequence[Result], step: float | None = None) -> Sketch:
    """Return the data of `latency_over_time`."""
    rows = answered(results)
    kinds = STATISTICS if len(rows) == 1 else {"mean": STATISTICS["mean"]}
    traces = []
    highest: list[tuple[float, float, str]] = []
    for name, style, result in rows:
        width = step or result.experiment.traffic.duration / STEPS
        for kind, (of, change) in kinds.items():
            times, values = result.over_time(width, of)
            x = rounded(t + width / 2 for t in times)
            y = [float(f"{v:.5g}") if isfinite(v) else None for v in values]  # JSON has no nan
            text = [duration(v) for v in values]
            shown = f"{name}, {kind}" if len(kinds) > 1 else name
            hover = f"{kind} %{{text}} at %{{x:.1f}} s"
            traces.append(line(shown, style, x, y, hover, text=text, line=style.line | change))
            if kind == "mean":
                highest += [(v, t, name) for v, t in zip(y, x, strict=True) if v is not None]
    more = time_layout(rows[0][2].experiment) if rows else {}
    return sketched(peak(highest), traces, yaxis=latency_axis(traces, "y"), **more)


def peak(highest: Sequence[tuple[float, float, str]]) -> str:
    """Return the finding of latency over time: the highest mean, and when; from (seconds, time, name)."""
    if not highest:
        return ""
    value, at, name = max(highest)
    return f"The mean latency is highest at {at:.3g} s: {duration(value)} ({name})"


# Name -> (of unsorted latencies, how its line differs).
STATISTICS: dict[str, tuple[Callable[[list[float]], float], dict[str, Any]]] = {
    "mean": (lambda values: sum(values) / len(values), {}),
    "p99": (lambda values: percentile(sorted(values), 99), {"width": 1, "dash": "dot"}),
}


def backend_load(result: Result, step: float | None = None) -> Figure:
    """Return the answers and errors a second of each backend, counted in whole steps of `step` seconds.

    A row for each backend, all on one scale; errors that no backend gave have a row of their own."""
    length = result.experiment.traffic.duration
    step = min(step or length / STEPS, length)
    shown = lanes_of(result, step, int(length / step + 1e-9))
    return lanes(
        busiest(shown, title(result.policy)),
        shown if any(any(lane.answers) for lane in shown) else [],
        rounded((i + 0.5) * step for i in range(len(shown[0].answers))),
        **time_layout(result.experiment),
    )


def lanes_of(result: Result, step: float, steps: int, start: float = 0.0) -> list[Lane]:
    """Return the answers and errors a second of each backend in `steps` steps from `start` on."""
    rows = [Lane(name, [0.0] * steps, [0.0] * steps) for name in (*result.backends, NO_SERVER)]
    for backend, end, status in zip(result.backend, result.end, result.status, strict=True):
        if 0 <= (slot := int((end - start) // step)) < steps:
            lane = rows[backend]  # -1, no backend, is the last
            (lane.answers if good(status) else lane.errors)[slot] += 1 / step
    if not any(rows[-1].errors):
        rows.pop()
    return rows


NO_SERVER = "no server"


def busiest(shown: Sequence[Lane], policy: str) -> str:
    """Return the finding of a figure of lanes: the backend with most answers, and whether errors occur."""
    answers = {lane.name: sum(lane.answers) for lane in shown if lane.name != NO_SERVER}
    total = sum(answers.values())
    if not total:
        return ""
    name = max(answers, key=answers.__getitem__)
    errors = sum(sum(lane.errors) for lane in shown)
    failed = f"; {errors / (errors + total):.1%} of all answers are errors" if errors else ""
    return f"{name} gives {answers[name] / total:.0%} of the answers ({policy}){failed}"


def in_flight(result: Result, step: float | None = None, scale_max: float | None = None) -> Figure:
    """Return the requests in the system, a row for each backend, sampled every `step` seconds.

    `scale_max`: requests at the end of the colour scale, to compare several results."""
    horizon = max(result.end, default=0.0)
    times, levels = result.in_flight(step or horizon / COLUMNS or 1.0)
    highest = max(max(level, default=0) for level in levels.values())
    heat = {
        "type": "heatmap",
        "x": rounded(times),
        "y": list(levels),
        "z": list(levels.values()),
        "zmin": 0,
        "zmax": scale_max or highest or 1,
        "colorscale": HEAT,
        "colorbar": {"title": {"text": "requests"}, "thickness": 10, "outlinewidth": 0},
        "hovertemplate": "%{y}: %{z} requests at %{x:.1f} s<extra></extra>",
    }
    more = below_events(time_layout(result.experiment, horizon), len(levels))
    name = next((name for name, level in levels.items() if highest in level), "")
    return figure(
        f"Up to {highest} requests are at one server, {name} ({title(result.policy)})",
        [heat] if len(result) else [],
        **more,
    )


def time_layout(experiment: Experiment, horizon: float | None = None) -> dict[str, Any]:
    """Return the time axis in seconds, with the warm-up in grey and a line at each event."""
    end = horizon or experiment.traffic.duration
    happening: dict[float, dict[str, list[str]]] = {}  # when -> what -> where
    for event in experiment.timeline:
        if event.at <= end:
            at_once = happening.setdefault(event.at, {})
            at_once.setdefault(_what(event), []).append(event.server or event.algorithm or "everywhere")
    shapes = [VERTICAL | {"x0": at, "x1": at} for at in happening]
    notes = []
    if len(happening) <= LABELLED:
        notes = [
            BESIDE
            | {
                "x": at,
                "text": "; ".join(f"{what} {', '.join(names)}" for what, names in happening[at].items()),
            }
            | ({"xanchor": "right"} if 0 < following - at < NEAR * end else {})
            for at, following in pairwise([*happening, inf])
        ]
    if experiment.traffic.warmup:
        shapes.append(WARMUP | {"x1": experiment.traffic.warmup})
        notes.append(BESIDE | {"x": 0, "text": "warm-up"})
    time = axis("time (s)", range=[0, end], showgrid=False)
    return {"xaxis": time, "shapes": shapes, "annotations": notes}


def below_events(layout: dict[str, Any], rows: int) -> dict[str, Any]:
    """Return the layout of a heat map with a row for each backend, from that of its time axis.

    The names of events stand above the rows, as they could not be read on their colours."""
    row = min(BROAD, max(NARROW, ROOM // max(rows, 1)))
    room = CHARACTER * max((len(note["text"]) for note in layout["annotations"]), default=0)
    reach = [rows - 0.5, -0.5 - room / row]
    backends = axis("backend", type="category", range=reach, showgrid=False)
    return layout | {"yaxis": backends, "height": 150 + row * rows + room}


def _what(event: Event) -> str:
    """Return what happens, in words; a new speed as its factor, since a factor of 1 is a recovery."""
    if event.dependency:
        return f"{event.dependency} {DEPENDENCY_STATES[event.action]}"
    return VALUED.get(event.action, title(event.action.value)).format(event.value)


VALUED = {
    Action.SLOW: "{:g} × speed of",
    Action.LOSE: "lose {:.0%} at",
    Action.FAIL: "fail {:.0%} at",
    Action.DELAY: "delay of {:g} s to",
    Action.SWITCH: "switch to",
}


NEAR = 0.025  # of the axis: of two events that are nearer, the first has its label on the left of its line
LABELLED = 16  # labels that fit side by side: of more events, as with random failures, there are only lines
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

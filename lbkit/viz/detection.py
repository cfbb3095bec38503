"""Figures of detection: how long a fault stays unnoticed, and what it costs to look more often."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from statistics import fmean

from lbkit.viz.drawing import Figure, Trace, figure, latency_axis, line
from lbkit.viz.latency import rounded
from lbkit.viz.style import axis, duration, shade, title

Points = Iterable[tuple[float, float]]  # (rate, seconds)


def detection_curve(
    measured: Mapping[str, Points],
    theory: Mapping[str, Points],
    rate: str = "probes/s to each server",
    work: float = 0.0,
) -> Figure:
    """Return detection time against a rate, both on logarithmic scales; theory as lines.

    `measured`, `theory`: name -> (rate, seconds) pairs. Of several runs at one rate, a mark shows the mean
    and a bar reaches from the shortest to the longest time. With `work`, the seconds that one probe takes a
    worker, the axis has the share of a server's capacity below each rate."""
    names = list(dict.fromkeys([*theory, *measured]))
    traces: list[Trace] = []
    for number, name in enumerate(names):
        look = shade(number)
        if points := sorted(theory.get(name, ())):
            x, y = zip(*points, strict=True)
            says = "%{x:.3~g}/s: %{text}"
            text = list(map(duration, y))
            traces.append(line(f"{title(name)}, theory", look, rounded(x), rounded(y), says, text=text))
        if runs := by_rate(measured.get(name, ())):
            means = [fmean(times) for times in runs.values()]
            marks = line(title(name), look, rounded(runs), rounded(means), "%{x:.3~g}/s: %{text}")
            marker = {"color": look.colour, "symbol": SYMBOLS[number % len(SYMBOLS)], "size": 8}
            text = [
                f"mean {duration(mean)}, from {duration(min(times))} to {duration(max(times))}"
                for mean, times in zip(means, runs.values(), strict=True)
            ]
            pairs = list(zip(means, runs.values(), strict=True))
            bars = {
                "array": rounded(max(times) - mean for mean, times in pairs),
                "arrayminus": rounded(mean - min(times) for mean, times in pairs),
                "symmetric": False,
                "thickness": 1,
                "width": 4,
                "color": look.colour,
            }
            traces.append(marks | {"mode": "markers", "marker": marker, "text": text, "error_y": bars})
    rates = sorted({x for trace in traces for x in trace["x"]})
    under = axis(rate, type="log", tickvals=ticks(rates))
    if work:
        under["title"]["text"] += ", and the share of its capacity that they take"
        under["ticktext"] = [f"{tick:g}<br>{100 * tick * work:.2g} %" for tick in ticks(rates)]
    return figure(fastest(measured), traces, xaxis=under, yaxis=latency_axis(traces, "y", "detection time"))


SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross")


def by_rate(points: Points) -> dict[float, list[float]]:
    """Return the times at each rate, in ascending order of rates."""
    found: dict[float, list[float]] = {}
    for rate, seconds in sorted(points):
        found.setdefault(rate, []).append(seconds)
    return found


def ticks(rates: Sequence[float]) -> list[float]:
    """Return round numbers from the lowest to the highest rate, three a decade."""
    if not rates:
        return []
    steps = (step * 10.0**power for power in range(-6, 7) for step in (1, 2, 5))
    return [float(f"{step:.1g}") for step in steps if rates[0] * 0.99 <= step <= rates[-1] * 1.01]


def fastest(measured: Mapping[str, Points]) -> str:
    """Return the finding: the mean time at the lowest and highest rate, of the name that varies most."""
    ends = {name: by_rate(points) for name, points in measured.items()}
    found = []
    for name, runs in ends.items():
        if runs:
            first, last = fmean(runs[min(runs)]), fmean(runs[max(runs)])
            texts = [f"{duration(first)} at {min(runs):.3g}/s", f"{duration(last)} at {max(runs):.3g}/s"]
            found.append((first / last if last else inf, f"{' and '.join(texts)} ({title(name)})"))
    return f"Detection takes {max(found)[1]}" if found else "Detection time"


def detection_times(
    times: Mapping[str, Sequence[float]], between: Mapping[str, tuple[float, float]]
) -> Figure:
    """Return the share of faults found within a time, a line of steps for each name.

    `between`: name -> the shortest and the longest time by theory, between which it is uniform."""
    traces: list[Trace] = []
    for number, (name, seconds) in enumerate(times.items()):
        look, ordered = shade(number), sorted(seconds)
        y = [i / len(ordered) for i in range(len(ordered) + 1)]
        steps = line(title(name), look, [0.0, *rounded(ordered)], y, "%{y:.0%} within %{x:.3~g} s")
        traces.append(steps | {"line": {**look.line, "shape": "hv"}})
        if name in between:
            low, high = between[name]
            says = "between %{x:.3~g} s"
            exact = line(f"{title(name)}, theory", look, [low, high], [0.0, 1.0], says)
            traces.append(exact | {"line": {"color": look.colour, "width": 6}, "opacity": 0.35})
    slowest = {name: max(seconds) for name, seconds in times.items() if seconds}
    texts = [f"{duration(seconds)} ({title(name)})" for name, seconds in slowest.items()]
    return figure(
        f"The slowest detection takes {' and '.join(texts)}" if texts else "",
        traces if texts else [],
        xaxis=axis("detection time (s)", rangemode="tozero"),
        yaxis=axis("faults found", tickformat=".0%", range=[0, 1.02]),
    )

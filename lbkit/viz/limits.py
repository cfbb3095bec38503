"""Figures of rate limits: requests admitted, held and denied, what remains, and what reaches the servers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil

from lbkit.core.limit import Decision, Limiter
from lbkit.result import Result
from lbkit.viz.drawing import Figure, Trace, figure, labelled, line
from lbkit.viz.latency import rounded
from lbkit.viz.style import FAILED, FAINT, INK, axis, shade, title

Played = Sequence[tuple[float, Decision]]  # the time of each request, and the decision on it

ADMITTED, HELD, DENIED = "admitted", "held, then admitted", "denied"
LOOKS = {
    ADMITTED: {"symbol": "line-ns", "size": 15, "line": {"color": INK, "width": 2}},
    HELD: {"symbol": "circle-open", "size": 8, "color": INK, "line": {"color": INK, "width": 1.5}},
    DENIED: {"symbol": "x-thin", "size": 8, "line": {"color": FAILED, "width": 1.5}},
}
ROW = 36  # pixels


def marks(played: Mapping[str, Played]) -> Figure:
    """Return each limiter's decisions on one time axis. A held request has a line from arrival to start."""
    names = list(played)
    points: dict[str, tuple[list[float], list[str], list[str]]] = {what: ([], [], []) for what in LOOKS}
    waits: tuple[list[float | None], list[str | None]] = ([], [])
    for name, decisions in played.items():
        for now, decision in decisions:
            what = DENIED if not decision.allowed else HELD if decision.delay > 0 else ADMITTED
            xs, ys, texts = points[what]
            xs.append(now + decision.delay)
            ys.append(title(name))
            texts.append(_hover(now, decision))
            if what == HELD:
                waits[0].extend((now, now + decision.delay, None))
                waits[1].extend((title(name), title(name), None))
    traces: list[Trace] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": waits[0],
            "y": waits[1],
            "line": {"color": FAINT, "width": 1},
            "hoverinfo": "skip",
            "showlegend": False,
        }
    ]
    traces += [
        {
            "type": "scatter",
            "mode": "markers",
            "name": what,
            "x": xs,
            "y": ys,
            "text": texts,
            "marker": LOOKS[what],
            "hovertemplate": "%{y}<br>%{text}<extra></extra>",
        }
        for what, (xs, ys, texts) in points.items()
    ]
    rows = axis(categoryorder="array", categoryarray=[title(name) for name in reversed(names)])
    height = 130 + ROW * len(names)
    return figure(extremes(played), traces, xaxis=axis("time (s)"), yaxis=rows, height=height)


def extremes(played: Mapping[str, Played]) -> str:
    """Return the finding: the limiters that admit most and fewest of the requests."""
    admitted = {name: sum(d.allowed for _, d in decisions) for name, decisions in played.items()}
    if not admitted:
        return ""
    most, fewest = max(admitted, key=admitted.__getitem__), min(admitted, key=admitted.__getitem__)
    found = f"Of {len(played[most])} requests, {title(most)} admits {admitted[most]}"
    if len(played) > 1 and admitted[most] == admitted[fewest]:
        return f"Of {len(played[most])} requests, every limiter admits {admitted[most]}"
    return found if most == fewest else f"{found} and {title(fewest)} {admitted[fewest]}"


def _hover(now: float, decision: Decision) -> str:
    if not decision.allowed:
        return f"at {now:.3f} s: denied, retry in {decision.retry_after:.3f} s"
    held = f", held for {decision.delay:.3f} s" if decision.delay > 0 else ""
    return f"at {now:.3f} s: admitted{held}, {decision.remaining:.2f} left"


def left(limiters: Mapping[str, Limiter], arrivals: Sequence[float], key: str = "") -> Figure:
    """Return what each limiter would still admit over time, with requests at `arrivals`, which it counts."""
    end = max(arrivals, default=1.0) * 1.1
    moments = sorted({*arrivals, *(i * end / 400 for i in range(401))})
    coming = {t: arrivals.count(t) for t in set(arrivals)}
    traces = []
    for number, (name, limiter) in enumerate(limiters.items()):
        xs: list[float] = []
        ys: list[float] = []
        for now in moments:
            xs.append(now)
            ys.append(limiter.would(key, now, 0).remaining)
            for _ in range(coming.get(now, 0)):
                xs.append(now)
                ys.append(limiter.admit(key, now).remaining)
        traces.append(line(title(name), shade(number), rounded(xs), rounded(ys), "%{x:.3f} s: %{y:.2f} left"))
    ticks: Trace = {
        "type": "scatter",
        "mode": "markers",
        "name": "requests",
        "x": list(arrivals),
        "y": [0.0] * len(arrivals),
        "marker": {"symbol": "line-ns", "size": 10, "line": {"color": INK, "width": 1}},
        "hovertemplate": "a request at %{x:.3f} s<extra></extra>",
    }
    fewest = [f"{max(0.0, round(min(trace['y']), 2)):g} ({trace['name']})" for trace in traces]
    return figure(
        f"Fewest requests left: {', '.join(fewest)}",
        [*traces, ticks],
        xaxis=axis("time (s)"),
        yaxis=axis("requests left", rangemode="tozero"),
    )


def flow(results: Sequence[Result], step: float = 0.1) -> Figure:
    """Return the requests a second that are sent, and that begin to be served, in steps of `step` seconds."""
    traces = []
    for number, (name, own, result) in enumerate(labelled(results)):
        if not number:
            sent = per_second(result.arrival, step)
            grey = line("sent", own, *sent, "%{x:.1f} s: %{y:.0f} requests/s")
            traces.append({**grey, "line": {"color": FAINT, "width": 1}, "fill": "tozeroy"})
        traces.append(
            line(f"{name}: served", own, *per_second(result.start, step), "%{x:.1f} s: %{y:.0f} requests/s")
        )
    peaks = [max(trace["y"]) for trace in traces] or [0.0, 0.0]
    found = f"Up to {peaks[0]:.0f} requests/s are sent, up to {max(peaks[1:]):.0f} begin to be served"
    return figure(
        found if traces else "", traces, xaxis=axis("time (s)"), yaxis=axis("requests/s", rangemode="tozero")
    )


def per_second(moments: Iterable[float], step: float) -> tuple[list[float], list[float]]:
    """Return the start of each step, and the moments in it a second; nan is ignored."""
    known = [t for t in moments if t == t]
    counts = [0] * max(1, ceil(max(known, default=0.0) / step + 1e-9))
    for t in known:
        counts[min(int(t / step), len(counts) - 1)] += 1
    return [i * step for i in range(len(counts))], [count / step for count in counts]

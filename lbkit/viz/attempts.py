"""Retries, hedges and what else a balancer does about failures, over time."""

from __future__ import annotations

from math import ceil, inf

from lbkit.core.attempts import COUNTS, Kind
from lbkit.result import Result
from lbkit.viz.drawing import Figure, figure, line, note
from lbkit.viz.goodput import rate
from lbkit.viz.latency import rounded
from lbkit.viz.over_time import STEPS, time_layout
from lbkit.viz.style import axis, shade, title


def attempts(result: Result, step: float | None = None) -> Figure:
    """Return what the balancer did about failures over time: a line of events a second for each kind.

    `step`: seconds of a point. The kinds are those of `lbkit.core.attempts.Kind`. Where a run has more events
    than a Result keeps, the lines end with the events, and the title says when."""
    events = result.attempt_events
    duration = result.experiment.traffic.duration
    width = min(step or duration / STEPS, duration)
    x = rounded((i + 0.5) * width for i in range(ceil(duration / width - 1e-9)))
    traces = []
    for number, kind in enumerate(Kind):
        times = [event.at for event in events if event.kind == kind]
        if times:
            hover = f"%{{y:.4g}}/s {kind} at %{{x:.3~g}} s"
            rates = zip(x, rate(times, width, len(x)), strict=True)
            y = [value if at <= complete(result) else None for at, value in rates]
            traces.append(line(kind, shade(number), x, y, hover))
    more = time_layout(result.experiment)
    if not traces:  # which is a finding too
        more["annotations"] = [note("no attempt failed"), *more["annotations"]]
        traces = [line("retry", shade(0), x, [0.0] * len(x), "")]
    return figure(finding(result), traces, yaxis=axis("events/s", rangemode="tozero"), **more)


def complete(result: Result) -> float:
    """Return the second up to which the result has all events; inf if it has all of the run."""
    kept = result.attempt_events
    return kept[-1].at if kept and len(kept) < sum(result.attempt_counts.values()) else inf


def finding(result: Result) -> str:
    """Return the finding: how many of each kind, and up to when if not all are kept."""
    policy = title(result.policy)
    counts = result.attempt_counts
    happened = [f"{counts[name]} × {kind}" for kind, name in COUNTS.items() if counts.get(name)]
    if not happened:
        return f"No retries and no hedges ({policy})"
    end = complete(result)
    limit = f"; drawn up to {end:.3g} s" if end < inf else ""
    return f"{', '.join(happened)} for {len(result)} requests ({policy}){limit}"

"""What clients send, what servers answer, and what of it comes in time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil

from lbkit.result import Result, good
from lbkit.viz.drawing import Figure, figure, labelled, line
from lbkit.viz.latency import rounded
from lbkit.viz.over_time import STEPS, time_layout
from lbkit.viz.style import axis, shade

# What is counted -> its shade in a figure of one result.
SENT, SERVED, GOOD = "sent, with retries", "served", "good, in time"
LAST = 10  # the end of a run, in findings, is its last tenth


def goodput(results: Sequence[Result], step: float | None = None) -> Figure:
    """Return the goodput over time, in steps of `step` seconds; of one result also what is sent and served.

    What is served and not good went to clients that had left."""
    rows = [row for row in labelled(results) if len(row[2])]
    traces = []
    at_last: list[tuple[float, str]] = []
    for name, style, result in rows:
        duration = result.experiment.traffic.duration
        width = min(step or duration / STEPS, duration)
        x = rounded((i + 0.5) * width for i in range(ceil(duration / width - 1e-9)))
        sent, served, in_time = rates(result, width, len(x))
        if len(rows) == 1:
            for number, (what, rate) in enumerate(((SENT, sent), (SERVED, served))):
                traces.append(line(what, shade(number + 1), x, rate, "%{y:.4g}/s at %{x:.3~g} s"))
            name = GOOD
        last = in_time[-max(1, len(in_time) // LAST) :]
        at_last.append((sum(last) / len(last), name))
        traces.append(line(name, style, x, in_time, "%{y:.4g}/s good, in time, at %{x:.3~g} s"))
    if not rows:
        return figure("", [])
    result = rows[0][2]
    share = result.goodput / result.throughput if result.throughput else 1.0
    finding = f"{share:.0%} of the answers come in time" if len(rows) == 1 else at_the_end(at_last)
    requests = axis("requests/s", rangemode="tozero")
    return figure(finding, traces, yaxis=requests, **time_layout(result.experiment))


def at_the_end(goodput: Sequence[tuple[float, str]]) -> str:
    """Return the finding of several results: the best and the worst goodput at the end."""
    (worst, loser), (best, winner) = min(goodput), max(goodput)
    if worst == best:
        return f"At the end there are {best:.3g} good answers/s with each"
    return f"At the end there are {best:.3g} good answers/s ({winner}) or {worst:.3g} ({loser})"


def rates(result: Result, width: float, steps: int) -> tuple[list[float], list[float], list[float]]:
    """Return what is sent, served, and good and in time, a second, in each of `steps` steps."""
    in_time = [end for end, status in zip(result.end, result.status, strict=True) if good(status)]
    vain = [work.end for work in result.wasted if work.answered]
    return (
        rate([*result.arrival, *result.resent], width, steps),
        rate([*in_time, *vain], width, steps),
        rate(in_time, width, steps),
    )


def rate(times: Iterable[float], width: float, steps: int) -> list[float]:
    """Return how many of the times are in each step, a second."""
    counts = [0] * steps
    for time in times:
        if 0 <= (slot := int(time // width)) < steps:
            counts[slot] += 1
    return rounded(count / width for count in counts)

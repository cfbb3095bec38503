"""A figure of a diagnosis: what was found, and when, below the latency of the run."""

from __future__ import annotations

from math import isfinite

from lbkit.diagnosis import diagnose
from lbkit.diagnosis.diagnose import NOTHING
from lbkit.diagnosis.finding import Finding
from lbkit.result import Result, percentile
from lbkit.viz.drawing import Figure, Trace, figure, latency_axis, line
from lbkit.viz.latency import rounded
from lbkit.viz.style import FAILED, INK, axis, duration, shade

STEPS = 50
ROW = 34  # pixels


def diagnosis(result: Result) -> Figure:
    """Return the p99 over time, and below it a bar for each finding of `diagnose`, from its start to its end;
    its evidence is in the text of the bar."""
    found = diagnose(result).findings
    over = result.experiment.traffic.duration
    times, tail = result.over_time(over / STEPS, lambda values: percentile(sorted(values), 99))
    points = [(at, value) for at, value in zip(times, tail, strict=True) if isfinite(value) and value > 0]
    x, y = [at for at, _ in points], rounded(value for _, value in points)
    says = list(map(duration, y))
    latency = line("p99", shade(0), x, y, "%{x:.3~g} s: %{text}", text=says, showlegend=False)
    bars = [_bar(finding) for finding in found]
    traces = [latency, *bars] if points or bars else []
    rows = list(dict.fromkeys(map(_row, found)))
    share = ROW * len(rows) / (200 + ROW * len(rows))  # of the height, for the bars
    return figure(
        "; ".join(rows) or NOTHING.capitalize(),
        traces,
        xaxis=axis("time (s)", range=[0, over], anchor="y2" if rows else "y"),
        yaxis=latency_axis([latency], "y", "p99") | {"domain": [share + 0.05 if rows else 0, 1]},
        yaxis2=axis("", type="category", range=[len(rows) - 0.5, -0.5], domain=[0, share]),
        height=300 + ROW * len(rows),
    )


def _row(finding: Finding) -> str:
    return f"{finding.name} {finding.server}".strip()


def _bar(finding: Finding) -> Trace:
    row = _row(finding)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [finding.start, finding.end],
        "y": [row, row],
        "yaxis": "y2",
        "line": {"color": FAILED, "width": 12},
        "showlegend": False,
        "hoverlabel": {"font": {"color": INK}},
        "hovertemplate": f"{finding.what}<br>{finding.evidence}<extra></extra>",
    }

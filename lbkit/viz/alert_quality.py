"""Figures of how good alerts are: what each rule notices and how soon, and how often it cries wolf."""

from __future__ import annotations

from math import log10

from lbkit.alerts import Quality
from lbkit.viz.drawing import Figure, figure
from lbkit.viz.latency import rounded
from lbkit.viz.style import FAILED, HEAT, INK, axis, duration

ROW = 30  # pixels
MISSED = "-"


def alert_detection(found: Quality) -> Figure:
    """Return for each rule and each incident how long it took until the rule fired; a dash where it did not.

    The colour is the time, on a logarithmic scale from ten seconds: pale is soon."""
    rules = found.detections()
    times = [list(row.values()) for row in rules.values()]
    texts = [[MISSED if s != s else duration(s) for s in row] for row in times]
    heat = {
        "type": "heatmap",
        "x": list(found.incidents),
        "y": list(rules),
        "z": [[None if s != s else log10(max(10.0, s)) for s in row] for row in times],
        "text": texts,
        "texttemplate": "%{text}",
        "colorscale": [list(step) for step in HEAT],
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
        "hovertemplate": "%{y}, %{x}: %{text}<extra></extra>",
    }
    noticed = len(found.incidents) - len(found.missed)
    name = f"{noticed} of {len(found.incidents)} incidents are noticed; by which rule, and how soon"
    return figure(
        name,
        [heat] if rules and found.incidents else [],
        xaxis=axis("incident", type="category"),
        yaxis=axis("", type="category", autorange="reversed"),
        height=150 + ROW * len(rules),
    )


def alert_fatigue(found: Quality) -> Figure:
    """Return the alerts a day of each rule: those about an incident, and false ones; and what share of the
    incidents it notices."""
    names = [f"{one.rule.name}, {one.rule.severity}" for one in found]
    kinds = (
        ("about an incident", [one.per_day - one.false_per_day for one in found], INK, ""),
        ("false", [one.false_per_day for one in found], FAILED, "/"),
    )
    bars = [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "x": rounded(values),
            "y": names,
            "marker": {"color": colour, "pattern": {"shape": pattern}},
            "hovertemplate": f"%{{y}}: %{{x:.2~g}} a day {name}<extra></extra>",
        }
        for name, values, colour, pattern in kinds
    ]
    notes = [
        {
            "x": one.per_day,
            "y": name,
            "xanchor": "left",
            "xshift": 4,
            "showarrow": False,
            "text": f"notices {one.recall:.0%}" if one.incidents else "",
            "font": {"size": 11, "color": INK},
        }
        for name, one in zip(names, found, strict=True)
    ]
    most = max((one.per_day for one in found), default=0.0)
    return figure(
        _loudest(found),
        bars if found else [],
        barmode="stack",
        annotations=notes,
        xaxis=axis("alerts a day", range=[0, 1.25 * most or 1.0]),
        yaxis=axis("", type="category", autorange="reversed"),
        height=150 + ROW * len(found),
    )


def _loudest(found: Quality) -> str:
    if not found:
        return ""
    worst = max(found, key=lambda one: one.false_per_day)
    if not worst.false:
        return "No rule fires without an incident"
    return (
        f"{worst.rule.name} fires {worst.per_day:.2g} times a day,"
        f" and {worst.false / worst.alerts:.0%} of that is false"
    )

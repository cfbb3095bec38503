"""Figures of game days: customers that are let down over time, and by incident."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from lbkit.gameday import GameDay, Scorecard
from lbkit.viz.drawing import Figure, Trace, figure
from lbkit.viz.style import DARK, FAILED, GRID, axis, title

STEP = 0.5  # seconds of a point
LANE, GAP = 84, 0.08  # pixels of a design; the share of the figure between two of them
PALE = "rgba(200,0,4,0.28)"
BAD = ((0.0, "#FBF0F0"), (1.0, "#E88A8A"))  # opaque: the text is readable on light and dark pages


def share_let_down(day: GameDay, step: float = STEP) -> tuple[list[float], list[float]]:
    """Return the middle of each step in seconds, and the share of the requests in it that were let down; 0
    where none came."""
    count = ceil(day.company.length / step - 1e-9)
    came, lost = [0] * count, [0] * count
    for arrival, let_down in day.fates:
        place = min(int(arrival / step), count - 1)
        came[place] += 1
        lost[place] += let_down
    shares = [round(n / of, 4) if of else 0.0 for n, of in zip(lost, came, strict=True)]
    return [round((i + 0.5) * step, 4) for i in range(count)], shares


def game_day(days: Mapping[str, GameDay], finding: str = "") -> Figure:
    """Return a lane for each design: the share of its customers that are let down over time, in red.

    Bands are the incidents, with their names above. All days are of one company. `finding`: the title;
    by default how many of the first design's customers are let down."""
    if not days:
        return figure("", [])
    first = next(iter(days.values()))
    lanes: dict[str, Any] = {}
    names, traces = [], []
    high = (1 - GAP * (len(days) - 1)) / len(days)
    for number, (name, day) in enumerate(days.items(), 1):
        of = "" if number == 1 else str(number)
        traces.append(_lane(name, day, f"y{of}"))
        top = 1 - (number - 1) * (high + GAP)
        lanes[f"yaxis{of}"] = axis(
            "", domain=[max(0.0, top - high), top], range=[0, 1], tickformat=".0%", tickvals=[0, 1]
        )
        names.append(_above(name, top))
    bands = _bands(first)
    return figure(
        finding or _finding(days),
        traces,
        xaxis=axis("time (s)", range=[0, first.company.length], anchor=traces[-1]["yaxis"], showgrid=False),
        **lanes,
        annotations=[*names, *(text for _, text in bands)],
        shapes=[band for band, _ in bands],
        height=150 + LANE * len(days),
        margin={"l": 56, "r": 16, "t": 66, "b": 50},
        showlegend=False,
    )


def _lane(name: str, day: GameDay, where: str) -> Trace:
    times, shares = share_let_down(day)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": times,
        "y": shares,
        "yaxis": where,
        "fill": "tozeroy",
        "fillcolor": PALE,
        "line": {"color": FAILED, "width": 2, "shape": "hvh"},
        "hovertemplate": "%{y:.0%} let down at %{x:.3~g} s<extra></extra>",
    }


def _above(name: str, top: float) -> dict[str, Any]:
    """Return the name of a lane, at its top."""
    text = f"<b>{title(name)}</b>"
    place = {"x": 0, "xref": "paper", "y": top, "yref": "paper", "xanchor": "left", "yanchor": "top"}
    return {"text": text, "showarrow": False, "font": {"size": 12}, "xshift": 4, **place}


def _bands(day: GameDay) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return a band for each incident, and its name above it."""
    found = []
    for one in day.company.incidents:
        band = {"type": "rect", "x0": one.start, "x1": one.end, "y0": 0, "y1": 1, "yref": "paper"}
        band |= {"fillcolor": GRID, "line": {"width": 0}, "layer": "below"}
        name = {"text": one.title, "x": one.start, "y": 1, "yref": "paper", "showarrow": False}
        found.append((band, name | {"xanchor": "left", "yanchor": "bottom", "font": {"size": 11}}))
    return found


def _finding(days: Mapping[str, GameDay]) -> str:
    """Return the share of all customers' requests that each design lets down."""
    shares = {name: [let_down for _, let_down in day.fates] for name, day in days.items()}
    said = (f"{title(name)} {sum(lost) / (len(lost) or 1):.1%}" for name, lost in shares.items())
    return f"Customers let down: {', '.join(said)}"


def where_it_hurts(card: Scorecard, finding: str = "") -> Figure:
    """Return the share of customers that each design lets down, by incident: means over the seeds."""
    rows = {name: {when: found.mean for when, found in card.let_down(name).items()} for name in card}
    incidents = list(next(iter(rows.values())))
    heat = {
        "type": "heatmap",
        "x": incidents,
        "y": [title(name) for name in rows],
        "z": [[round(share, 4) for share in shares.values()] for shares in rows.values()],
        "zmin": 0,
        "zmax": 1,
        "colorscale": [list(stop) for stop in BAD],
        "showscale": False,
        "xgap": 3,
        "ygap": 3,
        "texttemplate": "%{z:.0%}",
        "textfont": {"color": DARK},
        "hovertemplate": "%{y}, %{x}: %{z:.1%} let down<extra></extra>",
    }
    return figure(
        finding or "Customers that are let down, by design and incident",
        [heat],
        xaxis=axis("", type="category", side="top", showgrid=False),
        yaxis=axis("", type="category", autorange="reversed", showgrid=False),
        height=110 + 34 * len(rows),
        margin={"l": 56, "r": 16, "t": 70, "b": 12},
    )

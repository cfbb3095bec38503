"""A map of the world with regions, and the clients that each of them serves.

The coast lines are in a file of this package: nothing is fetched from anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files

from lbkit.core.geo import Location, NoRegion, Place, RegionState, Steering, round_trip
from lbkit.viz.drawing import HIDDEN, Figure, Trace, figure
from lbkit.viz.style import FAILED, FAINT, GRID, INK, duration, server_look

NORTH, SOUTH = 84.0, -58.0  # degrees of latitude that are shown


@cache
def coasts() -> tuple[list[float | None], list[float | None]]:
    """Return longitudes and latitudes of all coast lines; None is between two of them."""
    east: list[float | None] = []
    north: list[float | None] = []
    land = json.loads(files("lbkit.viz").joinpath("land.json").read_text(encoding="utf-8"))["land"]
    for ring in land:
        for x, y in ring:
            east.append(x)
            north.append(y)
        east.append(None)
        north.append(None)
    return east, north


def world(
    steering: Steering,
    clients: Mapping[str, Location],
    states: Mapping[str, RegionState] | None = None,
    title: str = "",
) -> Figure:
    """Return a map: regions as squares, each client in the colour of its region, with a line to it.

    A client that no region may serve is a red cross, as is a region that is down. `states`: as for
    `Steering.choose`."""
    known = states or {}
    colours = {region.name: server_look(i).colour for i, region in enumerate(steering.regions)}
    served: dict[str, list[tuple[str, Location]]] = {region.name: [] for region in steering.regions}
    refused: list[tuple[str, Location, str]] = []
    for name, at in clients.items():
        try:
            served[steering.choose(name, at, known).name].append((name, at))
        except NoRegion as reason:
            refused.append((name, at, str(reason)))
    traces = [land()]
    for region in steering.regions:
        state = known.get(region.name, RegionState())
        up = steering.is_up(region, state)
        ways = [way(at.place, region.place) for _, at in served[region.name]]
        if ways:
            traces.append(
                _line(
                    [x for w in ways for x in (*w[0], None)],
                    [y for w in ways for y in (*w[1], None)],
                    colours[region.name],
                )
            )
            traces.append(_clients(region.name, served[region.name], region.place, colours[region.name]))
        traces.append(_region(region.name, region.place, colours[region.name], up, len(served[region.name])))
    if refused:
        traces.append(_refused(refused))
    shown = title or f"{len(clients)} clients, {steering.rule}"
    if refused:
        shown += f"; {len(refused)} not served"
    return figure(
        shown,
        traces,
        height=420,
        xaxis={**HIDDEN, "range": [-180, 180]},
        yaxis={**HIDDEN, "range": [SOUTH, NORTH], "scaleanchor": "x", "scaleratio": 1.2},
        showlegend=True,
        margin={"l": 10, "r": 10, "t": 48, "b": 10},
    )


def land() -> Trace:
    east, north = coasts()
    return {
        "type": "scatter",
        "mode": "lines",
        "x": east,
        "y": north,
        "fill": "toself",
        "fillcolor": GRID,
        "line": {"width": 0.5, "color": FAINT},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def way(a: Place, b: Place) -> tuple[list[float | None], list[float | None]]:
    """Return longitudes and latitudes of a line between two places, the shorter way round; where it passes
    the edge of the map there is a gap."""
    east = b.longitude - a.longitude
    if abs(east) <= 180:
        return [a.longitude, b.longitude], [a.latitude, b.latitude]
    edge = 180.0 if a.longitude > 0 else -180.0
    whole = 360 - abs(east)
    share = abs(edge - a.longitude) / whole
    middle = a.latitude + share * (b.latitude - a.latitude)
    return [a.longitude, edge, None, -edge, b.longitude], [a.latitude, middle, None, middle, b.latitude]


def _line(x: Sequence[float | None], y: Sequence[float | None], colour: str) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "y": list(y),
        "line": {"width": 1, "color": colour},
        "opacity": 0.45,
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _clients(region: str, clients: Sequence[tuple[str, Location]], to: Place, colour: str) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [at.place.longitude for _, at in clients],
        "y": [at.place.latitude for _, at in clients],
        "marker": {"size": 7, "color": colour, "line": {"width": 1, "color": INK}},
        "text": [
            f"{escape(name)} {escape(at.jurisdiction)}<br>{duration(round_trip(at.place, to))} there and back"
            for name, at in clients
        ],
        "hovertemplate": f"%{{text}}<br>served by {escape(region)}<extra></extra>",
        "showlegend": False,
    }


def _region(name: str, at: Place, colour: str, up: bool, clients: int) -> Trace:
    said = f"{clients} clients" if up else "down"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{escape(name)}: {said}",
        "x": [at.longitude],
        "y": [at.latitude],
        "marker": {
            "size": 15,
            "symbol": "square" if up else "x",
            "color": colour if up else FAILED,
            "line": {"width": 1.5, "color": INK},
        },
        "hovertemplate": f"{escape(name)}: {said}<extra></extra>",
    }


def _refused(clients: Sequence[tuple[str, Location, str]]) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "no region may serve them",
        "x": [at.place.longitude for _, at, _ in clients],
        "y": [at.place.latitude for _, at, _ in clients],
        "marker": {"size": 9, "symbol": "x-thin", "color": FAILED, "line": {"width": 2, "color": FAILED}},
        "text": [escape(reason) for _, _, reason in clients],
        "hovertemplate": "%{text}<extra></extra>",
    }

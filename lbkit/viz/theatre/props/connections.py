"""Connections of clients, and the server of each request on them.

At layer 4 a connection leads to one server as long as it lives; at layer 7 each request may go to another.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isnan
from typing import Any, NamedTuple

from lbkit.experiment import Experiment
from lbkit.recorded import Relayed
from lbkit.result import Result
from lbkit.viz.style import server_look
from lbkit.viz.theatre.plain import seconds
from lbkit.viz.theatre.props.rows import rows_of
from lbkit.viz.theatre.window import Window

MOST = 500  # connections of a film
MOST_REQUESTS = 5_000  # on all of them

LIVES = {
    "client": "each client has as many as it has requests at once",
    "one": "each client has one",
    "shared": "all clients share them",
    "request": "a new one for each request",
}


class Lane(NamedTuple):
    """A connection, with its requests in order."""

    client: int  # -1: of all clients
    server: int  # -1: of all servers
    opened: float
    closed: float  # inf: not within the run
    requests: list[int]


def connections(result: Result, part: Window) -> dict[str, Any] | None:
    """Return the connections of a film; None where the run has none of its own, and without a recording."""
    found = _lanes(result)
    if not found:
        return None
    there = [lane for lane in found if lane.opened <= part.end and lane.closed >= part.start]
    lanes = there[:MOST]
    rows = rows_of([(lane.opened, lane.closed) for lane in lanes])
    on = [(number, row) for number, lane in enumerate(lanes) for row in lane.requests]
    on = [(number, row) for number, row in on if result.arrival[row] <= part.end]
    here = sorted(on, key=lambda pair: result.arrival[pair[1]])[-MOST_REQUESTS:]
    notes = [f"connections: the first {MOST} of {len(there)} are shown"] if len(there) > MOST else []
    if len(on) > len(here):
        notes.append(f"connections: the last {len(here)} of {len(on)} requests are shown")
    layer = 4 if result.experiment.layer4 else 7
    return {
        "kind": "connections",
        "title": f"connections at layer {layer}: {LIVES[_life(result.experiment)]}",
        "place": "door",
        "layer": layer,
        "rows": max(rows, default=-1) + 1,
        "colours": [server_look(number).colour for number in range(len(result.backends))],
        "lanes": [
            {
                "row": row,
                "client": lane.client,
                "server": lane.server,
                "opened": seconds(lane.opened),
                "closed": seconds(lane.closed),
            }
            for row, lane in zip(rows, lanes, strict=True)
        ],
        "requests": {
            "lane": [number for number, _ in here],
            "at": [seconds(result.arrival[row]) for _, row in here],
            "end": [seconds(result.end[row]) for _, row in here],
            "server": [_server(result, lanes[lane], row) for lane, row in here],
        },
        "notes": notes,
    }


def _server(result: Result, lane: Lane, row: int) -> int:
    """Return the server to which a request went on a connection. One that is refused goes on to another."""
    return lane.server if lane.server >= 0 else result.backend[row]


def _life(experiment: Experiment) -> str:
    if experiment.layer4:
        return experiment.layer4.connections
    traffic = experiment.traffic
    return "one" if traffic.http == "2" else "shared" if traffic.reuse else "request"


def _lanes(result: Result) -> list[Lane]:
    """Return the connections in the order in which they were opened."""
    relayed: list[Relayed] | None = result.extra.get("relayed")
    if relayed is not None:
        lanes = [
            Lane(c.client, c.server, c.opened, inf if isnan(c.closed) else c.closed, list(c.requests))
            for c in relayed
        ]
        return sorted(lanes, key=lambda lane: lane.opened)
    experiment = result.experiment
    if experiment.layer4 or not (experiment.tls or experiment.traffic.http == "2"):
        return []
    return FOLLOWED[_life(experiment)](result)


def _one(result: Result) -> list[Lane]:
    """One for each client, from its first request on."""
    lanes: dict[int, Lane] = {}
    for row in _in_order(result):
        client = result.client[row]
        lanes.setdefault(client, Lane(client, -1, result.arrival[row], inf, [])).requests.append(row)
    return list(lanes.values())


def _shared(result: Result) -> list[Lane]:
    """Each carries one request at a time; the one that was used last is the next."""
    idle: list[Lane] = []
    busy: list[Lane] = []
    lanes = []
    for row in _in_order(result):
        now = result.arrival[row]
        done = sorted((lane for lane in busy if result.end[lane.requests[-1]] <= now), key=_done(result))
        idle += done
        busy = [lane for lane in busy if lane not in done]
        if idle:
            lane = idle.pop()
        else:
            lane = Lane(-1, -1, now, inf, [])
            lanes.append(lane)
        lane.requests.append(row)
        busy.append(lane)
    return lanes


def _done(result: Result) -> Callable[[Lane], float]:
    return lambda lane: result.end[lane.requests[-1]]


def _per_request(result: Result) -> list[Lane]:
    return [
        Lane(result.client[row], -1, result.arrival[row], result.end[row], [row]) for row in _in_order(result)
    ]


def _in_order(result: Result) -> list[int]:
    return sorted(range(len(result)), key=result.arrival.__getitem__)


FOLLOWED: dict[str, Callable[[Result], list[Lane]]] = {
    "one": _one,
    "shared": _shared,
    "request": _per_request,
}

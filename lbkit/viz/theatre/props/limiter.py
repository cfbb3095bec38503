"""Rate limits that admit or deny: the level of each bucket, the count of each window, and each decision.

They are the run's own limiters, played once more over the requests of the film.
"""

from __future__ import annotations

from typing import Any

from lbkit.core.contract import FAILURES
from lbkit.experiment import Experiment
from lbkit.result import Result
from lbkit.viz.theatre.plain import numbered, seconds
from lbkit.viz.theatre.props.gauge import gauge
from lbkit.viz.theatre.props.rules import MOST as SHOWN
from lbkit.viz.theatre.props.rules import OWN, Cell, cells, limiter_title, rule_title
from lbkit.viz.theatre.props.thin import MOST, every, thinned
from lbkit.viz.theatre.props.visits import Visit, visits
from lbkit.viz.theatre.window import Window

USED = ("meter", "window", "log", "counter")  # shapes that fill up; a bucket of tokens empties


def limiter(result: Result, part: Window) -> dict[str, Any] | None:
    """Return the limiters for the busiest keys, each with its level and its decisions by time.

    `cells`: `at`, `level`, `wait` are points with straight lines between them; `asked` has the requests."""
    if not result.experiment.limits:
        return None
    found, notes = visits(result, part.end)
    shown, more = cells(result, found, queues=False)
    if not shown:
        return None
    most = MOST // len(shown)
    titles = dict.fromkeys(rule_title(cell.rule) for cell in shown)
    several = len({limiter_title(cell.limiter) for cell in shown}) > 1
    number_of = numbered(part.rows)
    here = [[v for v in cell.visits if v.row in number_of and v.at <= part.end] for cell in shown]
    if max(map(len, here)) > most:
        notes.append(f"limits: of more than {most} requests of a key, every second, third... is shown")
    return {
        "kind": "limiter",
        "title": f"{len(titles)} rate limits" if len(titles) > 1 else "".join(titles),
        "place": "door",
        "cells": [
            {**_cell(cell, part, most, several), "asked": asked(every(some, most), number_of)}
            for cell, some in zip(shown, here, strict=True)
        ],
        "more": more,
        "notes": notes,
    }


def asked(visits: list[Visit], number_of: dict[int, int]) -> dict[str, list[Any]]:
    """Return visits as columns: when, the request's number in the film, and 1 if it was admitted."""
    return {
        "at": [seconds(visit.at) for visit in visits],
        "request": [number_of[visit.row] for visit in visits],
        "ok": [int(visit.allowed) for visit in visits],
    }


def _cell(cell: Cell, part: Window, most: int, named: bool) -> dict[str, Any]:
    limiter = cell.limiter
    try:
        points = [] if cell.shape == OWN else gauge(limiter, cell.visits, part.start, part.end)
    except FAILURES:  # of a learner's subclass, with states of its own
        points = []
    points = thinned(points, most, lambda point: point.at, lambda point: point.left)
    used = cell.shape in USED
    return {
        "key": cell.key,
        "name": limiter_title(limiter) if named else "",
        "shape": cell.shape if points else OWN,
        "limit": limiter.limit if points else None,
        "rate": getattr(limiter, "rate", None) if points else None,
        "window": getattr(limiter, "window", None) if points else None,
        "at": [seconds(point.at) for point in points],
        "level": [round(limiter.limit - point.left if used else point.left, 4) for point in points],
        "wait": [round(point.wait, 6) for point in points],
    }


def unplayed(experiment: Experiment, clients: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the limiters of a run that goes on, as props: their decisions are the statuses of answers.

    `clients`: the lanes. A rule by client has a cell for each of the first lanes, any other one for all."""
    rules = experiment.limits
    if not rules:
        return []
    lanes: list[tuple[str, int | None]] = [("all requests", None)]
    if any(rule.key == "client" for rule in rules):
        lanes = [(client["name"], lane) for lane, client in enumerate(clients)]
    level: dict[str, Any] = {"at": [], "level": [], "wait": [], "limit": None, "rate": None, "window": None}
    cells = [
        {"key": key, "name": "", "shape": OWN, "lane": lane, "asked": None, **level}
        for key, lane in lanes[:SHOWN]
    ]
    title = f"{len(rules)} rate limits" if len(rules) > 1 else rule_title(rules[0])
    return [{"kind": "limiter", "title": title, "place": "door", "cells": cells, "more": 0}]

"""Frames of a dashboard: what it shows at one moment, as plain numbers. Pure: from a store to a frame.

A frame is a list, so that it is short on its way to the page: the second; for each panel the values of its
lines; of each row of servers the requests in flight, and the level of its state; the state of each lamp.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, isfinite
from typing import Any

from lbkit.core.state_change import StateChange
from lbkit.events import Action, Event
from lbkit.experiment import Experiment
from lbkit.history import Change
from lbkit.metrics.names import IN_FLIGHT, UP
from lbkit.metrics.panels import Panel
from lbkit.metrics.query import Value
from lbkit.metrics.store import Store
from lbkit.viz.states import level
from lbkit.viz.style import FAILED, INK, Look, server_look

Frame = list[Any]

EVERYTHING = "all"  # the row, and the line, of what is known as a sum only
BROWN = "#A05A2C"  # of amounts, as in heat maps
UNKNOWN = -1  # the level of a state that is not told

# Name of a line -> colour, dash, width. A class of answers that is a failure is red; of durations, the
# slowest is the broadest.
LOOKS: dict[str, tuple[str, str, float]] = {
    EVERYTHING: (INK, "solid", 2),
    "2xx": (INK, "solid", 2),
    "3xx": (INK, "dash", 1.5),
    "4xx": (INK, "dot", 2),
    "1xx": (INK, "dashdot", 1.5),
    "5xx": (FAILED, "solid", 2.5),
    "none": (FAILED, "dot", 2.5),
    "p99": (BROWN, "solid", 2.5),
    "p95": (BROWN, "dash", 1.5),
    "p50": (BROWN, "dot", 1.5),
}
# What is known of a server's place in the pool by what was done to it.
MEMBERSHIP = {
    Action.REMOVE: "out",
    Action.ADD: "up",
    Action.DRAIN: "draining",
    Action.UNDRAIN: "up",
}


class Recorder:
    """Makes frames. `lines` has the names of each panel's lines, which are found as they come."""

    def __init__(self, experiment: Experiment, panels: Sequence[Panel]) -> None:
        self.panels = panels
        self.lines: list[list[str]] = [[] for _ in panels]
        self.rows = [server.name for server in experiment.leaves]
        self._states: dict[str, dict[str, str]] = {name: {} for name in self.rows}
        for event in experiment.timeline:
            if event.action is Action.ADD:
                self._states[event.server].setdefault("member", "out")
        self._known = (0, 0)  # how many changes and deeds

    def frame(self, store: Store, at: float, lamps: Iterable[int]) -> Frame:
        """Return the frame of a moment, from the last scrape before it."""
        values = [self._values(number, panel, store, at) for number, panel in enumerate(self.panels)]
        flights = self._by_row(IN_FLIGHT.name, store, at)
        return [round(at, 2), values, flights, self._levels(store, at), [*lamps]]

    def _values(self, number: int, panel: Panel, store: Store, at: float) -> list[float | None]:
        found = {name or EVERYTHING: value for name, value in panel.at(store, at).items()}
        names = self.lines[number]
        names += [name for name in found if name not in names]
        return [plain(found.get(name)) for name in names]

    def _by_row(self, name: str, store: Store, at: float) -> list[float | None]:
        if name not in store.names:
            return [None] * len(self.rows)
        by_name = {
            dict(of).get("backend", EVERYTHING): value for of, value in Value(name).at(store, at).items()
        }
        if EVERYTHING in by_name and EVERYTHING not in self.rows:
            self.rows.append(EVERYTHING)
        return [plain(by_name.get(row)) for row in self.rows]

    # -- states of servers --------------------------------------------------------------------------

    def happened(self, changes: Sequence[StateChange], deeds: Sequence[Change | Event]) -> None:
        """Take what has happened to servers since the last call: by health rules and drains, and by hand or
        events. Both lists only grow."""
        for change in changes[self._known[0] :]:
            self._states.setdefault(change.backend, {})[change.kind] = change.after
        for deed in deeds[self._known[1] :]:
            if isinstance(deed.action, Action) and (state := MEMBERSHIP.get(deed.action)):
                self._states.setdefault(deed.server, {})["member"] = state
        self._known = len(changes), len(deeds)

    def _levels(self, store: Store, at: float) -> list[int]:
        up = dict(zip(self.rows, self._by_row(UP.name, store, at), strict=True))
        return [self._level(row, up.get(row)) for row in self.rows]

    def _level(self, row: str, up: float | None) -> int:
        """Return the worst level of a server's state machines; of one that gets no requests, the worst of all
        unless it is known why."""
        if row not in self._states:
            return UNKNOWN
        worst = max(map(level, self._states[row].values()), default=0)
        return worst or (level("down") if up == 0 else 0)


def plain(value: float | None) -> float | None:
    """Return a value with four digits, as it is shown; None for what is no number, as JSON has none."""
    found = inf if value is None else float(f"{value:.4g}")
    return found if isfinite(found) else None


def look(panel: Panel, names: Sequence[str], number: int) -> dict[str, Any]:
    """Return how a line is drawn, as plotly has it: a class, a percentile, a server or another."""
    if known := LOOKS.get(names[number]):
        return dict(zip(("color", "dash", "width"), known, strict=True))
    by_backend = any("{{backend}}" in line.legend for line in panel.lines)
    plainly = server_look(number) if by_backend else Look(BROWN, number)
    return plainly.line

"""Counts of sessions that moved to another server or lost their state."""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lbkit.arrivals import Sessions
from lbkit.core.rollout import Step
from lbkit.core.state_change import StateChange
from lbkit.events import Action
from lbkit.experiment import Experiment


class SessionCounts(NamedTuple):
    """Counts of the sessions of a run."""

    begun: int  # sessions with an answer
    moved: int  # changes of server within a session
    lost: int  # requests that did not find their session's state, after a move, a crash or a restart
    hit: int  # sessions that lost their state at least once


def follow(
    experiment: Experiment,
    session: Sequence[int],
    backend: Sequence[int],
    arrival: Sequence[float],
    end: Sequence[float],
    status: Sequence[int],
    changes: Iterable[StateChange] = (),
) -> SessionCounts:
    """Return the counts of a run with these columns, from the rows that servers answered without an error.

    A session's state is on the server of its last such answer, and is lost if that server crashes, or if a
    deploy replaces it (`changes`). What a crashed server answers before it recovers, it still knows: a real
    process ends a moment after the event. It is never lost if the traffic's servers share it."""
    arrivals = experiment.traffic.arrivals
    in_memory = isinstance(arrivals, Sessions) and arrivals.state == "memory"
    index = {server.name: i for i, server in enumerate(experiment.leaves)}
    ends: dict[int, list[float]] = defaultdict(list)  # of what a server's processes remember
    crashed = set()
    for event in experiment.timeline:
        if event.action is Action.CRASH:
            crashed.add(event.server)
        elif event.action is Action.RECOVER and event.server in crashed:
            crashed.remove(event.server)
            ends[index[event.server]].append(event.at)
    for change in changes:
        if change.kind == "deploy" and change.after == Step.STARTING.value:
            ends[index[change.backend]].append(change.at)
    for times in ends.values():
        times.sort()
    places: dict[int, tuple[int, float]] = {}  # session -> the server that has its state, and since when
    moved = lost = 0
    hit: set[int] = set()
    for row in sorted(range(len(arrival)), key=arrival.__getitem__):
        server, its = backend[row], session[row]
        if server < 0 or status[row] >= 500:
            continue
        before, since = places.get(its, (server, end[row]))
        emptied = bisect(ends[server], end[row]) > bisect(ends[server], since)
        moved += server != before
        if in_memory and (server != before or emptied):
            lost += 1
            hit.add(its)
        places[its] = server, end[row]
    return SessionCounts(len(places), moved, lost, len(hit))

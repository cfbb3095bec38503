"""How long faults of servers stay undetected, and how many requests fail meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import NamedTuple

from lbkit.core.state_change import StateChange
from lbkit.events import Action, Event
from lbkit.server import Server

# What begins a fault, and what ends it.
ENDED_BY = {
    Action.CRASH: Action.RECOVER,
    Action.HANG: Action.RECOVER,
    Action.LOSE: Action.RECOVER,
    Action.FAIL: Action.RECOVER,
    Action.FAIL_DEPENDENCY: Action.RESTORE_DEPENDENCY,
}


class Detection(NamedTuple):
    """The detection of the fault that `server` has from second `at` on.

    A rule took it out of service at second `found`, inf if none did before the fault ended; `by` is the
    rule's kind. Of several balancers it is the first. `failed` requests arrived until then, at any server,
    and got no good answer."""

    server: str
    at: float
    found: float
    by: str
    failed: int

    @property
    def seconds(self) -> float:
        return self.found - self.at


def detections(
    timeline: Sequence[Event],
    servers: Iterable[Server],
    changes: Sequence[StateChange],
    failures: Sequence[float],
) -> Iterator[Detection]:
    """Yield the detection of each fault in the timeline, in order of time.

    `failures`: when the requests arrived that got no good answer."""
    servers = list(servers)
    for event in timeline:
        if event.action not in ENDED_BY:
            continue
        for server in _servers_of(event, servers):
            end = _end(event, server, timeline)
            first = next(
                (c for c in changes if c.backend == server and event.at <= c.at < end and c.takes_out), None
            )
            found = first.at if first else inf
            until = min(found, end)
            failed = sum(event.at <= arrival <= until for arrival in failures)
            yield Detection(server, event.at, found, first.kind if first else "", failed)


def _servers_of(event: Event, servers: Iterable[Server]) -> list[str]:
    """Return the servers with the fault: a dependency that fails may be that of all that have it."""
    if event.server:
        return [event.server]
    return [server.name for server in servers if event.dependency in server.dependencies]


def _end(event: Event, server: str, timeline: Iterable[Event]) -> float:
    """Return when the fault ends; inf if it never does."""
    return min(
        (
            later.at
            for later in timeline
            if later.action is ENDED_BY[event.action]
            and later.at > event.at
            and later.server in ("", server)
            and later.dependency == event.dependency
        ),
        default=inf,
    )

"""What happens to servers in a film: the experiment's events, and the changes by health rules and drains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from lbkit.core.deploy import Deployment
from lbkit.core.state_change import StateChange
from lbkit.events import DEPENDENCY_STATES, Action, Event
from lbkit.experiment import Experiment, Server

POLICY, SERVER, SPEED, MEMBER, WEIGHT, CHAOS, DELAY, DEPENDENCY = (
    "policy",
    "server",
    "speed",
    "member",
    "weight",
    "chaos",
    "delay",
    "dependency",
)


class Happening(NamedTuple):
    """At second `at`, a property (`kind`) of a server, or of the balancer, got another state, or value."""

    at: float
    server: str  # empty: the balancer
    kind: str
    state: str
    value: float | None = None
    why: str = ""


def happenings(experiment: Experiment, changes: tuple[StateChange, ...]) -> list[Happening]:
    """Return all that happens to servers, in order of time."""
    named = {server.name: server for server in experiment.servers}
    found = [h for event in experiment.timeline for h in _of_event(event, named)]
    found += (Happening(c.at, c.backend, c.kind, c.after, None, c.why) for c in changes)
    found += _joins(experiment.deploy)
    return sorted(found, key=lambda happening: happening.at)


def _joins(deploy: Deployment | None) -> Iterator[Happening]:
    """Yield the servers that a deploy adds, at its start."""
    for name in deploy.arrivals if deploy else ():
        yield Happening(deploy.at if deploy else 0.0, name, MEMBER, "in", None, "deploy")


def _of_event(event: Event, named: dict[str, Server]) -> Iterator[Happening]:
    why = event.action.value
    if state := DEPENDENCY_STATES.get(event.action):
        for server in named.values():
            if event.server in ("", server.name) and event.dependency in server.dependencies:
                yield Happening(event.at, server.name, DEPENDENCY, state, None, event.dependency)
    elif event.action is Action.SWITCH:
        yield Happening(event.at, "", POLICY, event.algorithm, None, why)
    elif event.action is Action.RECOVER:
        yield from _recovery(event, named[event.server])
    elif event.action in STATES:
        kind, state_of = STATES[event.action]
        yield Happening(event.at, event.server, kind, state_of(event.value), event.value, why)


def _recovery(event: Event, server: Server) -> Iterator[Happening]:
    """A server is up again after its boot, at its usual speed, and undisturbed."""
    if server.boot:
        yield Happening(event.at, server.name, SERVER, "booting", server.boot, "recover")
    yield Happening(event.at + server.boot, server.name, SERVER, "up", None, "recover")
    yield Happening(event.at, server.name, SPEED, "usual", 1.0, "recover")
    yield Happening(event.at, server.name, CHAOS, "none", None, "recover")
    yield Happening(event.at, server.name, DELAY, "usual", 0.0, "recover")


def _is(state: str) -> Callable[[Any], str]:
    return lambda value: state


# Action -> the property that changes, and its state by the event's value. Drains are among the changes.
STATES: dict[Action, tuple[str, Callable[[Any], str]]] = {
    Action.CRASH: (SERVER, _is("down")),
    Action.HANG: (CHAOS, _is("hung")),
    Action.LOSE: (CHAOS, _is("losing")),
    Action.FAIL: (CHAOS, _is("failing")),
    Action.DELAY: (DELAY, _is("longer")),
    Action.SLOW: (SPEED, lambda value: "slow" if value < 1 else "fast" if value > 1 else "usual"),
    Action.ADD: (MEMBER, _is("in")),
    Action.REMOVE: (MEMBER, _is("out")),
    Action.SET_WEIGHT: (WEIGHT, _is("set")),
}

"""What happens to servers in a film: the experiment's events, and the changes by health rules and drains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lbkit.core.deploy import Deployment
from lbkit.core.state_change import StateChange
from lbkit.events import DEPENDENCY_STATES, Action, Event
from lbkit.experiment import Experiment
from lbkit.history import By, Change, Deed
from lbkit.tier import Node

BY_HAND = "by hand"
DRAIN = "drain"
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


def happenings(
    experiment: Experiment, changes: Sequence[StateChange], history: Sequence[Change] = ()
) -> list[Happening]:
    """Return all that happens to servers, in order of time. `history`: of a live session."""
    nodes: list[Node] = [*experiment.leaves, *experiment.tiers]
    named = {node.name: node for node in nodes}
    found = [h for event in experiment.timeline for h in _of_event(event, named)]
    found += (Happening(c.at, c.backend, c.kind, c.after, None, c.why) for c in changes)
    told = {c.backend for c in changes if c.kind == DRAIN}  # real programs tell nothing of drains
    for change in history:
        if change.by is By.HAND and not (change.action in DRAINS and change.server in told):
            found += (h._replace(why=BY_HAND) for h in _of_change(change, named))
    found += _joins(experiment.deploy)
    return sorted(found, key=lambda happening: happening.at)


def _joins(deploy: Deployment | None) -> Iterator[Happening]:
    """Yield the servers that a deploy adds, at its start."""
    for name in deploy.arrivals if deploy else ():
        yield Happening(deploy.at if deploy else 0.0, name, MEMBER, "in", None, "deploy")


def _of_change(change: Change, named: dict[str, Node]) -> Iterator[Happening]:
    if change.action is Action.RECOVER:
        yield from _restored(change.at, change.server)
    elif change.action in DRAINS:
        yield Happening(change.at, change.server, DRAIN, DRAINS[change.action])
    else:
        yield from _of_event(change, named)


def _of_event(event: Event | Change, named: dict[str, Node]) -> Iterator[Happening]:
    why = event.action.value
    if state := DEPENDENCIES.get(event.action):
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


def _recovery(event: Event | Change, server: Node) -> Iterator[Happening]:
    """A server is up again after its boot, at its usual speed, and undisturbed."""
    if server.boot:
        yield Happening(event.at, server.name, SERVER, "booting", server.boot, "recover")
    for happening in _restored(event.at, server.name):
        late = server.boot if happening.kind == SERVER else 0.0
        yield happening._replace(at=event.at + late)


def _restored(at: float, name: str) -> Iterator[Happening]:
    yield Happening(at, name, SERVER, "up", None, "recover")
    yield Happening(at, name, SPEED, "usual", 1.0, "recover")
    yield Happening(at, name, CHAOS, "none", None, "recover")
    yield Happening(at, name, DELAY, "usual", 0.0, "recover")


def _is(state: str) -> Callable[[Any], str]:
    return lambda value: state


DRAINS: dict[Action | Deed, str] = {Action.DRAIN: "draining", Action.UNDRAIN: "ready"}
DEPENDENCIES: Mapping[Any, str] = DEPENDENCY_STATES
# Action -> the property that changes, and its state by the event's value. Drains are among the changes.
STATES: dict[Action | Deed, tuple[str, Callable[[Any], str]]] = {
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

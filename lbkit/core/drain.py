"""Draining: a backend gets no new requests, finishes those in flight, and stops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from math import inf

from lbkit.core.backend import Backend, Intent
from lbkit.core.options import named_fields
from lbkit.core.state_change import StateChange


class DrainState(Enum):
    READY = "ready"  # in rotation
    DRAINING = "draining"  # gets no new requests; those in flight finish
    DRAINED = "drained"  # nothing in flight: it can be stopped
    STOPPED = "stopped"


class DrainEvent(Enum):
    DRAIN = "drain"  # the operator's order
    IDLE = "idle"  # the last request, or session, has ended
    TIMEOUT = "timeout"  # requests still in flight are cut off
    STOP = "stop"  # the process ends
    UNDRAIN = "undrain"  # back into the rotation
    START = "start"  # a new process


TRANSITIONS = {
    (DrainState.READY, DrainEvent.DRAIN): DrainState.DRAINING,
    (DrainState.READY, DrainEvent.STOP): DrainState.STOPPED,  # a plain stop: requests in flight are lost
    (DrainState.DRAINING, DrainEvent.IDLE): DrainState.DRAINED,
    (DrainState.DRAINING, DrainEvent.TIMEOUT): DrainState.DRAINED,
    (DrainState.DRAINING, DrainEvent.STOP): DrainState.STOPPED,
    (DrainState.DRAINING, DrainEvent.UNDRAIN): DrainState.READY,
    (DrainState.DRAINED, DrainEvent.STOP): DrainState.STOPPED,
    (DrainState.DRAINED, DrainEvent.UNDRAIN): DrainState.READY,
    (DrainState.STOPPED, DrainEvent.START): DrainState.READY,
}


@named_fields
@dataclass(frozen=True, slots=True)
class DrainRules:
    """The rules of a drain. `timeout`: seconds until requests still in flight are cut off (inf: never).

    `Sticky.drain` decides whether a draining backend keeps its sessions; if it does, it is drained only at
    the timeout. (AWS: deregistration delay 300 s; Traefik: 10 s.) Raises ValueError.
    """

    timeout: float = 30.0

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise ValueError(f"timeout is {self.timeout}: use seconds above 0, or inf for no limit")


class Drain:
    """The drain of one backend: its state, and its deadline."""

    __slots__ = ("_rules", "deadline", "state")

    def __init__(self, rules: DrainRules) -> None:
        self._rules = rules
        self.state = DrainState.READY
        self.deadline = inf  # in seconds; when requests in flight are cut off

    def on(self, event: DrainEvent, now: float) -> bool:
        """Apply an event; return whether the state changed. An event that does not apply is ignored."""
        after = TRANSITIONS.get((self.state, event))
        if after is None:
            return False
        self.state = after
        self.deadline = now + self._rules.timeout if after is DrainState.DRAINING else inf
        return True


def _event(intent: Intent, state: DrainState) -> DrainEvent:
    """Return the event for the operator's intent, for a backend in this state."""
    if intent is Intent.READY:
        return DrainEvent.START if state is DrainState.STOPPED else DrainEvent.UNDRAIN
    return DrainEvent.DRAIN if intent is Intent.DRAIN else DrainEvent.STOP


class Drains:
    """The drains of a pool: a Drain for each backend that the operator ever took out.

    The engine calls `advance` at the time `wake`.
    """

    def __init__(
        self, rules: DrainRules, on_change: Callable[[StateChange], object], sessions: bool = False
    ) -> None:
        """`sessions`: requests of a backend's sessions still go there while it drains. Their clients keep the
        tokens, so more of them may come at any time: such a backend is drained only at its deadline."""
        self.rules = rules
        self.sessions = sessions
        self.wake = inf  # in seconds; the first deadline
        self._on_change = on_change
        self._drains: dict[str, Drain] = {}
        self.draining: set[Backend] = set()  # while it is empty, the end of a request changes no state

    def state(self, name: str) -> DrainState:
        return self._drains[name].state if name in self._drains else DrainState.READY

    def deadline(self, name: str) -> float:
        """Return when the requests of a draining backend are cut off, in seconds; inf: never."""
        return self._drains[name].deadline if name in self._drains else inf

    def accepts_session(self, name: str) -> bool:
        """Return whether a backend takes more requests of its sessions."""
        state = self.state(name)
        return state is DrainState.READY or (state is DrainState.DRAINING and self.sessions)

    def wish(self, backend: Backend, intent: Intent, now: float) -> None:
        """Apply the operator's intent for a backend."""
        drain = self._drains.get(backend.name)
        if drain is None:
            if intent is Intent.READY:
                return
            drain = self._drains[backend.name] = Drain(self.rules)
        self._on(backend, _event(intent, drain.state), now)
        self.settle(backend, now)

    def settle(self, backend: Backend, now: float) -> None:
        """Called when a request on a backend has ended: it may have been the last."""
        if backend in self.draining and not backend.in_flight and not self.sessions:
            self._on(backend, DrainEvent.IDLE, now)

    def advance(self, now: float) -> list[Backend]:
        """Return the backends that have reached their deadline; the engine cuts off their requests."""
        late = [b for b in self.draining if now >= self._drains[b.name].deadline]
        for backend in late:
            self._on(backend, DrainEvent.TIMEOUT, now)
        return late

    def forget(self, backend: Backend) -> None:
        """Called when a backend has left the pool."""
        self._drains.pop(backend.name, None)
        self.draining.discard(backend)
        self._set_wake()

    def _on(self, backend: Backend, event: DrainEvent, now: float) -> None:
        drain = self._drains[backend.name]
        before = drain.state
        if not drain.on(event, now):
            return
        (self.draining.add if drain.state is DrainState.DRAINING else self.draining.discard)(backend)
        self._set_wake()
        why = "time is over" if event is DrainEvent.TIMEOUT else ""
        self._on_change(StateChange(now, backend.name, "drain", before.value, drain.state.value, why))

    def _set_wake(self) -> None:
        self.wake = min((self._drains[b.name].deadline for b in self.draining), default=inf)

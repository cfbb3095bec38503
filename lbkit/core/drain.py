"""Draining: a backend leaves the rotation, finishes what runs, and stops."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf

from lbkit.core.options import named_fields


class DrainState(Enum):
    READY = "ready"  # in the rotation
    DRAINING = "draining"  # nothing new; what runs finishes
    DRAINED = "drained"  # nothing runs: it may be stopped
    STOPPED = "stopped"


class DrainEvent(Enum):
    DRAIN = "drain"  # the operator's wish
    IDLE = "idle"  # the last request, or session, has ended
    TIMEOUT = "timeout"  # what still runs is cut off
    STOP = "stop"  # the process ends
    UNDRAIN = "undrain"  # back into the rotation
    START = "start"  # a new process


TRANSITIONS = {
    (DrainState.READY, DrainEvent.DRAIN): DrainState.DRAINING,
    (DrainState.READY, DrainEvent.STOP): DrainState.STOPPED,  # a plain stop: what runs is lost
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
    """How a backend leaves. `timeout`: seconds until what still runs is cut off (inf: never).

    `sticky`: whether requests of sessions that live on the backend still go there while it drains; then it is
    drained only when the last of them has ended. (AWS: deregistration delay 300 s; Traefik: 10 s; HAProxy:
    state drain lets sticky sessions in, state maint does not.) Raises ValueError.
    """

    timeout: float = 30.0
    sticky: bool = True

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise ValueError(f"timeout is {self.timeout}: use seconds above 0, or inf for no limit")


class Drain:
    """Where one backend is on its way out."""

    __slots__ = ("_rules", "deadline", "state")

    def __init__(self, rules: DrainRules) -> None:
        self._rules = rules
        self.state = DrainState.READY
        self.deadline = inf  # in seconds; when what still runs is cut off

    def on(self, event: DrainEvent, now: float) -> bool:
        """Take an event; return whether the state changed. An event that does not apply changes nothing."""
        after = TRANSITIONS.get((self.state, event))
        if after is None:
            return False
        self.state = after
        self.deadline = now + self._rules.timeout if after is DrainState.DRAINING else inf
        return True

    def accepts(self, of_session: bool) -> bool:
        """Return whether a request may go there; `of_session`: it belongs to a session on the backend."""
        if self.state is DrainState.DRAINING:
            return of_session and self._rules.sticky
        return self.state is DrainState.READY

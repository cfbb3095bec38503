"""What was done to a live session while it ran: when, what, and by whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum

from lbkit.events import DEPENDENCY_STATES, Action


class By(StrEnum):
    """Whose change it was."""

    PLAN = "plan"  # an event of the experiment
    DEPLOY = "deploy"
    HAND = "hand"


class Deed(Enum):
    """What is no event of an experiment, and happens to a session only."""

    REPLACE = "replace"  # another server in its place: a step of a deploy
    TAKE_OUT = "take out"  # a drained server, before it stops
    SEND = "send"  # `value` requests of a client, whose number is in `server`


@dataclass(frozen=True, slots=True)
class Change:
    """A change that was made while the session ran; the fields are those of an Event."""

    at: float  # seconds since time 0; of a start, when the server serves
    action: Action | Deed
    server: str = ""
    value: float | None = None
    dependency: str = ""
    policy: str = ""  # in force after the change
    by: By = By.HAND

    @property
    def algorithm(self) -> str:
        """The algorithm from then on, of a switch."""
        return self.policy if self.action is Action.SWITCH else ""

    @property
    def what(self) -> str:
        """The change in a few words."""
        say = WORDS.get(self.action)
        return say(self) if say else f"{self.action.value} {self.server}"


def _added(change: Change) -> str:
    more = "" if change.value is None else f" with weight {change.value:g}"
    return f"add {change.server}{more}"


def _share(change: Change) -> str:
    return f"{change.action.value} {change.value:g} at {change.server}"


def _dependency(change: Change) -> str:
    assert isinstance(change.action, Action)
    return f"{change.dependency} {DEPENDENCY_STATES[change.action]} {change.server}".rstrip()


# For the others, the action and the server.
WORDS: dict[Action | Deed, Callable[[Change], str]] = {
    Action.SWITCH: lambda c: f"switch to {c.policy}",
    Action.LOSE: _share,
    Action.FAIL: _share,
    Action.DELAY: lambda c: f"delay {c.server} {c.value:g} s",
    Action.SLOW: lambda c: f"slow {c.server} {c.value:g}",
    Action.SET_WEIGHT: lambda c: f"weight {c.server} {c.value:g}",
    Action.ADD: _added,
    Deed.SEND: lambda c: f"send {c.value:g} of client {c.server}",
    **dict.fromkeys(DEPENDENCY_STATES, _dependency),
}

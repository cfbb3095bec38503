"""The timed events of an experiment: what happens to which server, and when."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from math import inf

from attrs import field, frozen

from lbkit.checks import number
from lbkit.core.options import named_fields
from lbkit.core.text import did_you_mean

__all__ = ["Action", "Event", "as_action"]


class Action(Enum):
    """What happens to a server in an event."""

    CRASH = "crash"  # its connections close without an answer, new ones are refused
    RECOVER = "recover"
    SLOW = "slow"  # speed x value, for work that starts from now on
    ADD = "add"  # joins the pool, which it is not in before
    REMOVE = "remove"  # leaves the pool at once; running requests finish
    SET_WEIGHT = "set_weight"
    DRAIN = "drain"  # no new requests; running ones finish


def as_action(what: Action | str) -> Action:
    """Return an action, given as itself or by its name. Raises ValueError with the names there are."""
    try:
        return Action(what)
    except ValueError:
        names = [action.value for action in Action]
        near = did_you_mean(str(what), names)
        raise ValueError(f"action is {what!r}: use one of {', '.join(names)}{near}") from None


# The actions that take a `value`: its check, and its meaning.
_VALUE: dict[Action, tuple[Callable[[float], bool], str]] = {
    Action.SLOW: (lambda v: 0 < v < inf, "the factor on speed, above 0"),
    Action.SET_WEIGHT: (lambda v: 0 <= v < inf, "the new weight, 0 or more"),
}


@named_fields
@frozen
class Event:
    """At second `at`, `action` happens to `server`."""

    at: float = field(validator=number(0))
    action: Action = field(converter=as_action)
    server: str = ""
    value: float | None = None

    def __attrs_post_init__(self) -> None:
        if self.action not in _VALUE:
            if self.value is not None:
                raise ValueError(f"value is {self.value!r}: {self.action.value!r} takes none")
            return
        fits, meaning = _VALUE[self.action]
        if not isinstance(self.value, int | float) or isinstance(self.value, bool) or not fits(self.value):
            raise ValueError(f"value is {self.value!r}: {self.action.value!r} needs {meaning}")

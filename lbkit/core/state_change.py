"""A change of a backend's state: what engines record, and figures show."""

from __future__ import annotations

from typing import NamedTuple

# The states in which a backend gets no requests, of all state machines.
OUT = ("down", "ejected", "out", "open", "drained", "stopped", "reserve", "outside")
# Those in which it gets none, or a few to see whether it is well again.
ON_TRIAL = ("recovering", "half open")


class StateChange(NamedTuple):
    """At second `at`, a state machine of `backend` went from one state to another.

    `kind` names the machine: check, outlier, max_fails, breaker, drain or deploy."""

    at: float
    backend: str
    kind: str
    before: str
    after: str
    why: str = ""

    @property
    def takes_out(self) -> bool:
        """Whether a health rule takes a backend that was in service out of it."""
        served = self.before not in (*OUT, *ON_TRIAL)
        return served and self.after in OUT and self.kind not in ("drain", "deploy")

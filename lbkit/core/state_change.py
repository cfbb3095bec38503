"""A change of a backend's state: what engines record, and figures show."""

from __future__ import annotations

from typing import NamedTuple


class StateChange(NamedTuple):
    """At second `at`, a state machine of `backend` went from one state to another.

    `kind` names the machine: check, outlier, max_fails, breaker, drain or deploy."""

    at: float
    backend: str
    kind: str
    before: str
    after: str
    why: str = ""

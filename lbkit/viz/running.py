"""What panels need of a running session: the class lbkit.live.LiveSession, which viz does not import."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lbkit.core.state_change import StateChange
from lbkit.experiment import Experiment
from lbkit.history import Change


class RunningSession(Protocol):
    """A session and what has happened in it so far."""

    experiment: Experiment
    on: str
    policy: str
    history: list[Change]
    watchers: list[Callable[[], object]]

    @property
    def running(self) -> bool: ...
    @property
    def elapsed(self) -> float: ...
    @property
    def changes(self) -> list[StateChange]: ...

"""Protocols of lbkit.live's session and of its watcher, so that the theatre need not import lbkit.live."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeGuard

from lbkit.recorded import Sighting
from lbkit.result import Result
from lbkit.viz.running import RunningSession

Send = Callable[[dict[str, Any]], object]  # a message to the stage


class Watcher(Protocol):
    """Reports the requests of a session, as the class in lbkit.live.watching does."""

    notes: Sequence[str]
    share: float
    rate: float
    closed: bool

    def news(self, now: float) -> list[Sighting]: ...
    def close(self) -> None: ...


class Session(RunningSession, Protocol):
    """A running session: the class lbkit.live.LiveSession."""

    @property
    def done(self) -> bool: ...
    def watch(self) -> Watcher: ...
    def result(self) -> Result: ...
    @staticmethod
    def algorithms(on: str) -> list[str]: ...

    # As in lbkit.live.controls.
    def crash(self, name: str) -> None: ...
    def recover(self, name: str) -> None: ...
    def drain(self, name: str) -> None: ...
    def undrain(self, name: str) -> None: ...
    def slow(self, name: str, factor: float) -> None: ...
    def set_weight(self, name: str, weight: float) -> None: ...
    def switch(self, policy: str) -> None: ...
    def send(self, client: int, requests: int, rate: float) -> None: ...


def is_session(show: object) -> TypeGuard[Session]:
    return hasattr(show, "watch") and hasattr(show, "running")

"""Health rules in real programs: which of them a program has, and its own state changes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from lbkit.core.health.checks import CheckState
from lbkit.core.health.watch import HealthRules
from lbkit.core.state_change import StateChange
from lbkit.live.peers.errors import PeerError

IN, OUT = "in", "out"  # of a server that passive checks watch
FIRST = {"check": CheckState.UP.label, "max_fails": IN}  # kind of state machine -> the state it starts in
# Programs start servers as "up" does; where `fall` is 1, "fully-up" is the same.
UP_AT_START = ("fully-up", "up")


@dataclass(frozen=True)
class HealthWays:
    """What a program has of HealthRules.

    `parts`: the parts that it has, and for each the fields that are not free there, with the values that it
    can do. `missing`: part -> why the program lacks it."""

    parts: Mapping[str, Mapping[str, tuple[Any, ...]]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    def check(self, program: str, rules: HealthRules) -> None:
        """Raise PeerError, with one line, for the first rule that the program does not have."""
        have = f"it has {', '.join(self.parts)}; or " if self.parts else ""
        for part in (f.name for f in fields(rules)):
            value = getattr(rules, part)
            if value is None:
                continue
            if part not in self.parts:
                why = f": {self.missing[part]}" if part in self.missing else ""
                raise PeerError(f"{program} has no policy.health.{part} here{why}; {have}use lbkit's proxy")
            for name, possible in self.parts[part].items():
                if (given := attrgetter(name)(value)) not in possible:
                    use = " or ".join(repr(one) for one in possible)
                    raise PeerError(
                        f"{program} cannot do policy.health.{part}.{name} = {given!r} here:"
                        f" use {use}, or lbkit's proxy"
                    )


class Changes:
    """The state changes of servers, as read from a program's output."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, str], str] = {}
        self._changes: list[StateChange] = []

    def add(self, at: float, server: str, kind: str, state: str, why: str = "") -> None:
        """Note that a server is in a state from `at` on; nothing happens if it was before."""
        before = self._states.get((server, kind), FIRST[kind])
        if state != before:
            self._states[server, kind] = state
            self._changes.append(StateChange(at, server, kind, before, state, why))

    def rest(self, at: float, server: str, seconds: float, why: str) -> None:
        """Note that passive checks leave a server out for some time. Programs do not log its end."""
        self.add(at, server, "max_fails", OUT, why)
        self.add(at + seconds, server, "max_fails", IN, "time is over")

    def so_far(self) -> list[StateChange]:
        """Return the changes until now, in order; times as of time.monotonic."""
        now = time.monotonic()
        return sorted((c for c in list(self._changes) if c.at <= now), key=lambda change: change.at)


def whole_seconds(program: str, name: str, seconds: float) -> int:
    """Return a time for a program that takes whole seconds only. Raises PeerError."""
    if seconds != int(seconds):
        raise PeerError(f"{program}'s {name} is in whole seconds, not {seconds:g}: round fail_timeout")
    return int(seconds)


def milliseconds(seconds: float) -> str:
    """Return a time in the notation of most programs: 250ms."""
    return f"{max(1, round(seconds * 1000))}ms"

"""Active health checks: when to probe a backend, and what a row of outcomes means."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import Any

from lbkit.core.health.probe import Probe
from lbkit.core.options import named_fields, real
from lbkit.core.text import shown


class CheckState(Enum):
    """The state of a backend by its checks; `in_service`: it gets requests."""

    label: str
    in_service: bool

    UP = "up", True
    FAILING = "failing", True  # up, and its last checks failed
    DOWN = "down", False
    RECOVERING = "recovering", False  # down, and its last checks passed

    # Any: the compiler would check for a class that has no name yet, as its members are made with it.
    def __init__(self: Any, label: str, in_service: bool) -> None:
        self.label = label
        self.in_service = in_service


# (state, whether the check passed) -> the state while the row of such outcomes is too short, and the state
# once it is long enough: `fall` failures, or `rise` passes, one after the other.
TRANSITIONS = {
    (CheckState.UP, True): (CheckState.UP, CheckState.UP),
    (CheckState.UP, False): (CheckState.FAILING, CheckState.DOWN),
    (CheckState.FAILING, True): (CheckState.UP, CheckState.UP),
    (CheckState.FAILING, False): (CheckState.FAILING, CheckState.DOWN),
    (CheckState.DOWN, False): (CheckState.DOWN, CheckState.DOWN),
    (CheckState.DOWN, True): (CheckState.RECOVERING, CheckState.UP),
    (CheckState.RECOVERING, False): (CheckState.DOWN, CheckState.DOWN),
    (CheckState.RECOVERING, True): (CheckState.RECOVERING, CheckState.UP),
}

# How a backend starts, by the names of HAProxy's `init-state`: its state, and how many outcomes are left
# until it changes (None: all of them).
STARTS: dict[str, tuple[CheckState, int | None]] = {
    "fully-up": (CheckState.UP, None),
    "up": (CheckState.UP, 1),  # one failed check takes it out
    "down": (CheckState.DOWN, 1),  # one passed check brings it in; nginx Plus: mandatory
    "fully-down": (CheckState.DOWN, None),
}


@named_fields
@dataclass(frozen=True, slots=True)
class CheckRules:
    """When a backend is probed and how many outcomes in a row change its state. Times are in seconds.

    A probe starts every `interval`, or `fast_interval` while outcomes change, or `down_interval` while the
    backend is down; each time is drawn from `jitter` (a share) around that. A probe without an outcome after
    `timeout` has failed. `start`: fully-up, up, down or fully-down. `probe`: what is sent, and what passes.
    (HAProxy: inter 2 s, rise 2, fall 3, fastinter, downinter, init-state.) Raises ValueError.
    """

    interval: float = 2.0
    timeout: float = 1.0
    rise: int = 2
    fall: int = 3
    fast_interval: float | None = None
    down_interval: float | None = None
    jitter: float = 0.0
    start: str = "fully-up"
    probe: Probe = field(default_factory=Probe)

    def __post_init__(self) -> None:
        for name in ("interval", "timeout", "fast_interval", "down_interval"):
            value = getattr(self, name)
            if value is not None and not (real(value) and 0 < value < inf):
                raise ValueError(f"{name} is {shown(value)}: use seconds above 0")
        for name in ("rise", "fall"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1000:
                raise ValueError(f"{name} is {value}: use a whole number from 1 to 1000")
        if not (real(self.jitter) and 0 <= self.jitter < 1):
            raise ValueError(f"jitter is {shown(self.jitter)}: use a share from 0 to below 1")
        if self.start not in STARTS:
            raise ValueError(f"start is {self.start!r}: use one of {', '.join(STARTS)}")
        if not isinstance(self.probe, Probe):
            raise ValueError(f"probe is {shown(self.probe)}: use Probe")
        shortest = min(
            self.interval, self.fast_interval or self.interval, self.down_interval or self.interval
        )
        if self.timeout > shortest * (1 - self.jitter):
            raise ValueError(
                f"timeout is {self.timeout:g}: use at most the shortest interval, {shortest:g}, less its"
                " jitter, so that one probe ends before the next starts"
            )

    def longest_detection(self, hangs: bool = False) -> float:
        """Return the most seconds from a fault until the backend is out, without jitter.

        A dead backend refuses at once; one that hangs costs a timeout more."""
        later = (self.fall - 1) * (self.fast_interval or self.interval)
        return self.interval + later + (self.timeout if hangs else 0.0)

    def mean_detection(self, hangs: bool = False) -> float:
        """Return the mean seconds from a fault until the backend is out.

        The fault comes at any moment between two probes, so the time is uniform over one interval."""
        return self.longest_detection(hangs) - self.interval / 2

    def probe_rate(self, backends: int) -> float:
        """Return the probes a second while all backends are up."""
        return backends / self.interval


class Health:
    """The health of one backend by its checks."""

    __slots__ = ("_needed", "_row", "_rules", "state")

    def __init__(self, rules: CheckRules) -> None:
        self._rules = rules
        self.state, needed = STARTS[rules.start]
        self._needed = needed  # of the first outcomes only
        self._row = 0  # outcomes of the same kind, one after the other, that are on their way to a change

    @property
    def in_row(self) -> int:
        """The outcomes, one after the other, that are on their way to a change: of `rise` or `fall`."""
        return self._row

    def observe(self, passed: bool) -> CheckState | None:
        """Take the outcome of a check; return the new state if it changed."""
        rules = self._rules
        before = self.state
        short, full = TRANSITIONS[before, passed]
        needed, self._needed = self._needed or (rules.rise if passed else rules.fall), None
        if short is full:  # nothing to count
            self._row = 0
            self.state = full
        else:
            self._row += 1
            self.state = full if self._row >= needed else short
            if self.state is full:
                self._row = 0
        return None if self.state is before else self.state

    def next_check(self, rng: random.Random) -> float:
        """Return the seconds from the start of a probe to the start of the next one."""
        rules = self._rules
        if self.state in (CheckState.FAILING, CheckState.RECOVERING):
            interval = rules.fast_interval or rules.interval
        elif self.state is CheckState.DOWN:
            interval = rules.down_interval or rules.interval
        else:
            interval = rules.interval
        return interval * (1 + rules.jitter * (2 * rng.random() - 1)) if rules.jitter else interval

    def first_check(self, rng: random.Random) -> float:
        """Return the seconds until the first probe, drawn so that backends are not probed all at once.

        One that is down at the start is probed at once: nothing can be sent to it before."""
        return 0.0 if not self.state.in_service else self._rules.interval * rng.random()

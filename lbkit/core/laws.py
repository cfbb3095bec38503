"""What limiters, health checks and breakers must do, whatever they are inside: laws of what they did.

The kit's tests use them with histories of hypothesis, labs with those of a seed. (conformance.py has the
laws of balancers.)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mypy_extensions import mypyc_attr


@mypyc_attr(native_class=False)
class Violation(AssertionError):
    """A promise that does not hold: what was expected, and what happened."""

    def __init__(self, expected: str, happened: str) -> None:
        super().__init__(f"expected {expected}; happened: {happened}")
        self.expected = expected
        self.happened = happened


def require(holds: bool, expected: str, happened: object) -> None:
    if not holds:
        raise Violation(expected, str(happened))


# -- limiters -----------------------------------------------------------------------------------------


def burst_of(admitted: Sequence[tuple[float, float]], rate: float) -> float:
    """Return the most by which the cost admitted in t seconds is above rate x t, in any stretch of time.

    `admitted`: the moments in order, and the cost admitted at each. A bucket must not exceed its burst."""
    most = 0.0
    for i, (begin, _) in enumerate(admitted):
        total = 0.0
        for end, cost in admitted[i:]:
            total += cost
            most = max(most, total - rate * (end - begin))
    return most


def busiest_window(admitted: Sequence[float], window: float) -> tuple[float, int]:
    """Return the beginning of the window with the most of these moments, and how many are in it."""
    counts = {begin: sum(begin <= t < begin + window for t in admitted) for begin in admitted}
    return max(counts.items(), key=lambda item: item[1], default=(0.0, 0))


def denials_change_nothing(
    make: Callable[[], Callable[[float], Any]],
    times: Sequence[float],
    allowed: Callable[[Any], bool] = bool,
) -> None:
    """Of two limiters that are asked at these times, one is asked five times more after each denial.

    `make()` returns the function that asks a new limiter. Raises Violation if their answers differ."""
    patient, pushy = make(), make()
    denied = 0
    for now in times:
        answer = patient(now)
        for _ in range(1 if allowed(answer) else 6):
            other = pushy(now)
            expected = f"{answer} at {now:g} s, also after {denied} denied requests"
            require(other == answer, expected, other)
            denied += not allowed(other)


# -- health checks ------------------------------------------------------------------------------------


def rise_and_fall(outcomes: Sequence[bool], rise: int, fall: int, up: bool) -> list[bool]:
    """Return whether a server is up after each outcome: the last `rise` or `fall` decide, if they agree."""
    states = []
    for i, ok in enumerate(outcomes, 1):
        needed = rise if ok else fall
        if list(outcomes[max(0, i - needed) : i]) == [ok] * needed:
            up = ok
        states.append(up)
    return states


# -- breakers -----------------------------------------------------------------------------------------


class Guards(Protocol):
    """Circuit breakers of several backends, which open after some failures in a row; one request tries."""

    def allows(self, backend: str, now: float) -> bool: ...

    def started(self, backend: str, now: float) -> None: ...

    def ended(self, backend: str, started: float, ok: bool, now: float) -> None: ...


@dataclass
class _Account:
    """The plain account of one breaker."""

    in_row: int = 0
    opened: float | None = None  # when
    trying: float | None = None  # since when a request tries

    def allows(self, open_for: float, now: float) -> bool:
        return self.opened is None or (self.trying is None and now >= self.opened + open_for)

    def ended(self, started: float, ok: bool, failures: int, now: float) -> bool:
        """Take an outcome; return whether the breaker has closed."""
        if self.opened is None:
            self.in_row = 0 if ok else self.in_row + 1
            if self.in_row >= failures:
                self.opened = now
        elif self.trying == started:
            self.in_row, self.trying, self.opened = 0, None, None if ok else now
            return ok
        return False


def follow_breakers(guards: Guards, failures: int, open_for: float, rng: random.Random) -> None:
    """Let requests of three backends come and end as chance will; compare with a plain account.

    A request that tries ends before another `open_for` is over. Raises Violation."""
    accounts = {name: _Account() for name in "abc"}
    running: list[tuple[str, float]] = []
    now = 0.0

    def end(name: str, started: float) -> None:
        nonlocal running
        running.remove((name, started))
        ok = rng.random() < 0.5
        guards.ended(name, started, ok, now)
        if accounts[name].ended(started, ok, failures, now):
            # Those from before it opened, which are still running, may count or not.
            running = [each for each in running if each[0] != name]

    for _ in range(300):
        now += rng.random() / 5
        for name, account in accounts.items():
            if account.trying is not None and now > account.trying + 0.5 * open_for:
                end(name, account.trying)
        name = rng.choice(list(accounts))
        account = accounts[name]
        due = account.allows(open_for, now)
        require(bool(guards.allows(name, now)) is due, f"`allows` to be {due} at {now:.3f} s", not due)
        if due:
            guards.started(name, now)
            running.append((name, now))
            account.trying = now if account.opened is not None else None
        while len(running) > rng.randint(0, 6):
            end(*rng.choice(running))

"""Timers for timeouts, which nearly never ring.

Those of one length end in the order in which they begin. So one timer of the loop serves them all, and to
begin or cancel another one takes an entry of a dictionary, a fraction of what a timer of the loop costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

RESOLUTION = 0.001  # seconds: that of uvloop's timers, which may be early by half of it


class Alarm:
    """Calls `then` at a time of the monotonic clock, unless it is cancelled before."""

    __slots__ = ("_among", "due", "then")

    def __init__(self, among: dict[Alarm, None], due: float, then: Callable[[], object]) -> None:
        self._among = among
        self.due = due
        self.then = then

    def cancel(self) -> None:
        self._among.pop(self, None)


class Alarms:
    """All alarms of one length that are set."""

    __slots__ = ("_set", "_waits", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._set: dict[Alarm, None] = {}  # in the order in which they ring
        self._waits = False  # for the first one

    def __len__(self) -> int:
        return len(self._set)

    def set(self, then: Callable[[], object]) -> Alarm:
        """Set an alarm; in a running loop."""
        alarm = Alarm(self._set, monotonic() + self.seconds, then)
        self._set[alarm] = None
        if not self._waits:
            self._wait_for(alarm)
        return alarm

    def _wait_for(self, alarm: Alarm) -> None:
        self._waits = True
        asyncio.get_running_loop().call_later(max(0.0, alarm.due - monotonic()), self._ring)

    def _ring(self) -> None:
        """Ring the first alarm if it is due. Each has its turn of the loop: one that fails stops no other."""
        self._waits = False
        first = next(iter(self._set), None)
        if first is None:
            return
        due = first.due <= monotonic() + RESOLUTION
        if due:
            first.cancel()
        if self._set:
            self._wait_for(next(iter(self._set)))
        if due:
            first.then()


class AlarmsByLength:
    """Sets alarms of a few lengths, such as those of a policy."""

    def __init__(self) -> None:
        self._by_length: dict[float, Alarms] = {}

    def __len__(self) -> int:
        """The number of lengths."""
        return len(self._by_length)

    def set(self, seconds: float, then: Callable[[], object]) -> Alarm:
        """Set an alarm; in a running loop."""
        alarms = self._by_length.get(seconds)
        if alarms is None:
            # Those of former policies go.
            self._by_length = {length: old for length, old in self._by_length.items() if len(old)}
            alarms = self._by_length[seconds] = Alarms(seconds)
        return alarms.set(then)

"""A discrete-event engine: virtual time jumps from one event to the next."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from typing import Any


class Engine:
    """Calls functions at virtual times. Events of the same moment happen in the order they were planned."""

    __slots__ = ("_heap", "_planned", "now")

    def __init__(self) -> None:
        self.now = 0.0  # seconds
        self._heap: list[tuple[float, int, Callable[[Any], object], Any]] = []
        self._planned = 0  # number of events planned: breaks ties, first planned first

    def at(self, time: float, call: Callable[[Any], object], argument: Any = None) -> None:
        """Plan `call(argument)` for `time`. Raises ValueError for a time that has passed, or nan."""
        if not time >= self.now:
            raise ValueError(f"cannot plan for {time}: it is {self.now} already")
        self._planned = number = self._planned + 1
        heappush(self._heap, (time, number, call, argument))

    def run(self, until: float = inf) -> None:
        """Run all events before and at `until`; the clock ends at `until`, or at the last event if inf."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            # The clock moves first: what is called sees its own time.
            self.now, _, call, argument = heappop(heap)
            call(argument)
        if until < inf:
            self.now = max(self.now, until)

"""A discrete-event engine: virtual time jumps from one event to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from itertools import chain, count, repeat
from math import inf
from typing import Any


class Engine:
    """Calls functions at virtual times. Events of the same moment happen in the order they were planned."""

    __slots__ = ("_feed", "_heap", "_numbers", "now")

    def __init__(self) -> None:
        self.now = 0.0  # seconds
        self._heap: list[tuple[float, int, Callable[[Any], object], Any]] = []
        self._numbers = count()  # of events planned: breaks ties, first planned first
        self._feed: Iterable[tuple[float, int, Callable[[int], object]]] = ()

    def at(self, time: float, call: Callable[[Any], object], argument: Any = None) -> None:
        """Plan `call(argument)` for `time`. Raises ValueError for a time that has passed, or nan."""
        if not time >= self.now:
            raise ValueError(f"cannot plan for {time}: it is {self.now} already")
        heappush(self._heap, (time, next(self._numbers), call, argument))

    def cancel(self, call: Callable[[Any], object]) -> list[Any]:
        """Drop what is planned of `call`; the arguments it would have had, in order of their time."""
        dropped = sorted(event for event in self._heap if event[2] == call)
        self._heap[:] = sorted(event for event in self._heap if event[2] != call)
        return [argument for _, _, _, argument in dropped]

    def feed(self, times: Iterable[float], call: Callable[[int], object]) -> None:
        """Call `call(i)` at the i-th of `times`, which never fall; after what is planned for that moment.

        For the many arrivals: kept out of the heap, which stays as small as the work in progress."""
        self._feed = zip(times, count(), repeat(call), strict=False)

    def run(self, until: float = inf) -> None:
        """Run all events before and at `until`; the clock ends at `until`, or at the last event if inf."""
        for time, i, call in self._feed:
            if time > until:
                self._feed = chain([(time, i, call)], self._feed)  # not yet
                break
            self._run_planned(time)
            self.now = time
            call(i)
        self._run_planned(until)
        if until < inf:
            self.now = max(self.now, until)

    def _run_planned(self, until: float) -> None:
        heap = self._heap
        while heap and heap[0][0] <= until:
            # The clock moves first: what is called sees its own time.
            self.now, _, call, argument = heappop(heap)
            call(argument)

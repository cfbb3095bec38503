"""A discrete-event engine: virtual time jumps from one event to the next.

An event is data: a time, a number, a kind and a row. The caller of `run` gives a handler for each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import chain
from math import inf

from mypy_extensions import mypyc_attr

Handlers = Sequence[Callable[[int], object]]  # by kind: what is done with the row


@mypyc_attr(native_class=False)
class TooManyEvents(RuntimeError):
    """A run has planned as many events as it may."""


class Engine:
    """Events in order of their time. Events of the same moment happen in the order they were planned."""

    __slots__ = ("_feed", "_feed_kind", "_heap", "_numbers", "max_events", "now")

    def __init__(self, max_events: int = 10**9) -> None:
        """`max_events`: the number of events that may be planned; those of `feed` are not counted."""
        self.now = 0.0  # seconds
        self._heap: list[tuple[float, int, int, int]] = []  # time, number, kind, row
        self.max_events = max_events
        self._numbers = iter(range(max_events))  # of events planned: breaks ties, first planned first
        self._feed: Iterator[tuple[int, float]] = iter(())
        self._feed_kind = 0

    def __len__(self) -> int:
        """The number of planned events, without those that are fed."""
        return len(self._heap)

    @property
    def due(self) -> float:
        """The time of the next planned event; inf if there is none."""
        return self._heap[0][0] if self._heap else inf

    def plan(self, time: float, kind: int, row: int = 0) -> None:
        """Plan an event for `time`. Raises ValueError for a time that has passed, or nan; TooManyEvents."""
        if not time >= self.now:
            raise ValueError(f"cannot plan for {time}: it is {self.now} already")
        try:
            heappush(self._heap, (time, next(self._numbers), kind, row))
        except StopIteration:
            raise TooManyEvents(
                f"{self.max_events:,} events have come to {self.now:g} s only: use a shorter duration, "
                "less traffic, or a higher bound, run(..., max_events=...)"
            ) from None

    def cancel(self, kind: int, wanted: Callable[[int], bool]) -> list[int]:
        """Drop the planned events of `kind` whose row is `wanted`; return these rows in order of their time.

        Looks at every planned event: for what is rare, such as a crash."""
        dropped = sorted(event for event in self._heap if event[2] == kind and wanted(event[3]))
        if dropped:
            gone = {number for _, number, _, _ in dropped}
            self._heap[:] = [event for event in self._heap if event[1] not in gone]
            heapify(self._heap)
        return [row for _, _, _, row in dropped]

    def feed(self, times: Iterable[float], kind: int) -> None:
        """Take events of `kind`: one with row i at the i-th of `times`, which never decrease.

        It comes after all that is planned for that moment. For the many arrivals: they are kept out of the
        heap, which stays as small as the work in progress."""
        self._feed = enumerate(times)
        self._feed_kind = kind

    def run(self, handlers: Handlers, until: float = inf) -> None:
        """Run all events before and at `until`; the clock ends at `until`, or at the last event if inf.

        The clock moves first: a handler sees the time of its event."""
        heap, handle_fed = self._heap, handlers[self._feed_kind]
        for fed, time in self._feed:
            if time > until:
                self._feed = chain([(fed, time)], self._feed)  # not yet
                break
            while heap and heap[0][0] <= time:
                self.now, _, kind, row = heappop(heap)
                handlers[kind](row)
            self.now = time
            handle_fed(fed)
        while heap and heap[0][0] <= until:
            self.now, _, kind, row = heappop(heap)
            handlers[kind](row)
        if until < inf:
            self.now = max(self.now, until)

"""A discrete-event engine: virtual time jumps from one event to the next. Its rules:

- Events happen in order of their time; those of the same moment in the order in which they were planned.
- Events that are fed, such as arrivals, come after all that is planned for their moment.
- The clock moves first: what handles an event sees the time of the event.
- A run `until` a moment runs all events before and at it, and its clock ends exactly there.

An event is data: a time, a number, a kind and a row. There are two heaps for them, with the same order: heapq
with a tuple for each event where Python is interpreted, columns of numbers where this file is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import chain
from math import inf
from typing import Final

from mypy_extensions import mypyc_attr

from lbkit.core.heap import Heap
from lbkit.core.vectors import COMPILED, column_of, vec

Handlers = Sequence[Callable[[int], object]]  # by kind: what is done with the row
KIND_BITS: Final = 6  # an event's kind and row in one number: row * KINDS + kind
KINDS: Final = 1 << KIND_BITS


@mypyc_attr(native_class=False)
class TooManyEvents(RuntimeError):
    """A run has planned as many events as it may."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Handler:
    """Whatever the events happen to."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def happen(self, kind: int, row: int) -> None:
        """An event happens. Compiled code calls this; a subclass may do frequent kinds without the table."""
        self.handlers[kind](row)


class Engine:
    """Planned events, and the clock."""

    def __init__(self, max_events: int = 10**9) -> None:
        """`max_events`: the number of events that may be planned; those of `feed` are not counted."""
        self.now = 0.0  # seconds
        self.max_events = max_events
        self._planned = 0  # events so far: their numbers, which break ties
        self._heap: list[tuple[float, int, int, int]] = []  # time, number, kind, row
        self._columns = Heap()  # the same, where this is compiled
        self._feed: Iterator[tuple[int, float]] = iter(())
        self._times: vec[float] = column_of(())  # the same, where this is compiled
        self._fed = 0  # how many of these have happened
        self._fed_kind = 0

    def __len__(self) -> int:
        """The number of planned events, without those that are fed."""
        return self._columns.size if COMPILED else len(self._heap)

    @property
    def due(self) -> float:
        """The time of the next planned event; inf if there is none."""
        if COMPILED:
            return self._columns.first_key()
        return self._heap[0][0] if self._heap else inf

    def plan(self, time: float, kind: int, row: int = 0) -> None:
        """Plan an event for `time`. Raises ValueError for a time that has passed, or nan; TooManyEvents."""
        if not time >= self.now:
            raise ValueError(f"cannot plan for {time}: it is {self.now} already")
        self._planned = number = self._planned + 1
        if number > self.max_events:
            raise TooManyEvents(
                f"{self.max_events:,} events have come to {self.now:g} s only: use a shorter duration, "
                "less traffic, or a higher bound, run(..., max_events=...)"
            )
        if COMPILED:
            self._columns.push(time, number, row << KIND_BITS | kind)
        else:
            heappush(self._heap, (time, number, kind, row))

    def cancel(self, kind: int, wanted: Callable[[int], bool]) -> list[int]:
        """Drop the planned events of `kind` whose row is `wanted`; return these rows in order of their time.

        Looks at every planned event: for what is rare, such as a crash."""
        events = self._heap
        if COMPILED:
            events = [(t, n, event & KINDS - 1, event >> KIND_BITS) for t, n, event in self._columns.clear()]
        dropped = sorted([event for event in events if event[2] == kind and wanted(event[3])])
        gone = {number for _, number, _, _ in dropped}
        kept = [event for event in events if event[1] not in gone] if gone else events
        if COMPILED:
            for time, number, other, row in kept:
                self._columns.push(time, number, row << KIND_BITS | other)
        elif gone:
            self._heap[:] = kept
            heapify(self._heap)
        return [row for _, _, _, row in dropped]

    def feed(self, times: Iterable[float], kind: int) -> None:
        """Take events of `kind`: one with row i at the i-th of `times`, which never decrease.

        They are for the many arrivals: kept out of the heap, which stays as small as the work in progress."""
        self.feed_column(column_of(times), kind)

    def feed_column(self, times: vec[float], kind: int) -> None:
        """Take events as `feed` does, at the times of a column, which is not copied."""
        self._fed_kind = kind
        if COMPILED:
            self._times, self._fed = times, 0
        else:
            self._feed = enumerate(times)

    def run(self, handler: Handler | Handlers, until: float = inf) -> None:
        """Run all events before and at `until`; the clock ends at `until`, or at the last event if inf."""
        happens = handler if isinstance(handler, Handler) else Handler(handler)
        if COMPILED:
            self._run_columns(happens, until)
        else:
            self._run_tuples(happens.handlers, until)
        if until < inf:
            self.now = max(self.now, until)

    def _run_tuples(self, handlers: Handlers, until: float) -> None:
        heap, handle_fed = self._heap, handlers[self._fed_kind]
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

    def _run_columns(self, handler: Handler, until: float) -> None:
        times, kind = self._times, self._fed_kind
        while self._fed < len(times) and times[self._fed] <= until:
            time = times[self._fed]
            self._run_planned(handler, time)
            self.now = time
            fed = self._fed
            self._fed = fed + 1
            handler.happen(kind, fed)
        self._run_planned(handler, until)

    def _run_planned(self, handler: Handler, until: float) -> None:
        columns = self._columns
        while columns.size and columns.keys[0] <= until:
            self.now = columns.keys[0]
            event = int(columns.pop())
            handler.happen(event & KINDS - 1, event >> KIND_BITS)

"""A discrete-event engine: virtual time jumps from one event to the next. Its rules:

- Events happen in order of their time; events of the same moment in the order in which they were planned.
- Fed events, such as arrivals, stay out of the heap, and come after all planned for the same moment.
- The clock moves first: a handler sees the time of its event.
- `run(until=t)` runs all events before and at t, and leaves the clock at exactly t.

An event is data: a time, a number that breaks ties, a kind and a row. Interpreted, planned events are tuples
in a heapq; compiled, numbers in the columns of a `Heap`. Both give the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import chain
from math import inf
from typing import Final

from mypy_extensions import mypyc_attr

from lbkit.core.heap import Heap
from lbkit.core.vectors import COMPILED, column_of, vec

Handlers = Sequence[Callable[[int], object]]  # by kind; each is called with the row
KIND_BITS: Final = 6  # a Heap's item holds kind and row in one number: row << KIND_BITS | kind
KIND_MASK: Final = (1 << KIND_BITS) - 1


@mypyc_attr(native_class=False)
class TooManyEvents(RuntimeError):
    """A run has planned more events than `max_events` allows."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Handler:
    """Handles events by a table; a compiled subclass may handle frequent kinds without it."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def happen(self, kind: int, row: int) -> None:
        """Handle an event. Only a compiled engine calls this; an interpreted one reads the table itself."""
        self.handlers[kind](row)


class Engine:
    """The clock, and the events to come."""

    def __init__(self, max_events: int = 10**9) -> None:
        """`max_events`: how many events may be planned in all, without fed ones."""
        self.now = 0.0  # seconds
        self.max_events = max_events
        self._planned = 0  # events so far; also the number of the last one
        self._heap: list[tuple[float, int, int, int]] = []  # interpreted: time, number, kind, row
        self._columns = Heap()  # compiled
        self._feed: Iterator[tuple[int, float]] = iter(())  # interpreted: row, time
        self._times: vec[float] = column_of(())  # compiled
        self._fed_kind = self._fed = 0  # compiled: how many have happened

    def __len__(self) -> int:
        """The number of planned events that have not happened yet."""
        return self._columns.size if COMPILED else len(self._heap)

    @property
    def due(self) -> float:
        """The time of the next planned event; inf if there is none."""
        if COMPILED:
            return self._columns.first_key()
        return self._heap[0][0] if self._heap else inf

    def plan(self, time: float, kind: int, row: int = 0) -> None:
        """Plan an event for second `time`. Raises ValueError for the past and for nan; TooManyEvents."""
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
        """Drop the planned events of `kind` with a `wanted` row; return the rows in order of time. O(n)"""
        events = self._heap
        if COMPILED:
            events = [(t, n, event & KIND_MASK, event >> KIND_BITS) for t, n, event in self._columns.clear()]
        dropped = sorted([event for event in events if event[2] == kind and wanted(event[3])])
        kept = set(events).difference(dropped)
        if COMPILED:
            for time, number, other, row in kept:
                self._columns.push(time, number, row << KIND_BITS | other)
        else:
            self._heap[:] = kept  # in place: a run may be under way
            heapify(self._heap)
        return [row for _, _, _, row in dropped]

    def feed(self, times: vec[float], kind: int) -> None:
        """Take events of `kind`, row i at the i-th of `times`: a column that never decreases; not copied."""
        self._fed_kind = kind
        if COMPILED:
            self._times, self._fed = times, 0
        else:
            self._feed = enumerate(times)

    def run(self, handler: Handler | Handlers, until: float = inf) -> None:
        """Run all events before and at `until`; the clock ends there, or at the last event if it is inf."""
        happens = handler if isinstance(handler, Handler) else Handler(handler)
        if COMPILED:
            self._run_columns(happens, until)
        else:
            self._run_tuples(happens.handlers, until)
        self.now = self.now if until == inf else max(self.now, until)

    def _run_tuples(self, handlers: Handlers, until: float) -> None:
        heap, handle_fed = self._heap, handlers[self._fed_kind]
        for fed, time in self._feed:
            if time > until:
                self._feed = chain([(fed, time)], self._feed)  # for the next run
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
            fed = self._fed
            self._run_planned(handler, times[fed])
            self.now = times[fed]
            self._fed = fed + 1
            handler.happen(kind, fed)
        self._run_planned(handler, until)

    def _run_planned(self, handler: Handler, until: float) -> None:
        columns = self._columns
        while columns.size and columns.keys[0] <= until:
            self.now = columns.keys[0]
            event = int(columns.pop())
            handler.happen(event & KIND_MASK, event >> KIND_BITS)

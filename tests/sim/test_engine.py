from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.vectors import column_of
from lbkit.sim.engine import Engine

A, B, C = range(3)  # any kinds
times = st.lists(st.floats(0, 100), max_size=50)
planned = st.lists(st.tuples(st.floats(0, 100), st.sampled_from([A, B])), max_size=50)
Seen = list[tuple[float, int, int]]


def recorder(engine: Engine) -> tuple[Seen, list[Callable[[int], object]]]:
    """Return a list of events that happened, as (time, kind, row), and the handlers that fill it."""
    seen: Seen = []

    def handler(kind: int) -> Callable[[int], object]:
        return lambda row: seen.append((engine.now, kind, row))

    return seen, [handler(kind) for kind in (A, B, C)]


@given(planned)
def test_events_in_order_of_time_and_ties_in_order_of_planning(events: list[tuple[float, int]]) -> None:
    """Each one with its own kind and row, and with the clock at its time."""
    engine = Engine()
    seen, handlers = recorder(engine)
    for row, (time, kind) in enumerate(events):
        engine.plan(time, kind, row)
    engine.run(handlers)
    in_order = sorted((time, row, kind) for row, (time, kind) in enumerate(events))
    assert seen == [(time, kind, row) for time, row, kind in in_order]


@given(times, st.floats(0, 100))
def test_what_is_due_is_the_next_planned_event(planned: list[float], until: float) -> None:
    engine = Engine()
    for time in planned:
        engine.plan(time, A)
    engine.run(recorder(engine)[1], until)
    assert engine.due == min((time for time in planned if time > until), default=float("inf"))


@given(times, st.floats(0, 100))
def test_run_until_ends_exactly_there(moments: list[float], until: float) -> None:
    engine = Engine()
    seen, handlers = recorder(engine)
    for time in moments:
        engine.plan(time, A)
    engine.run(handlers, until)
    assert engine.now == until
    assert [time for time, _, _ in seen] == sorted(t for t in moments if t <= until)
    engine.run(handlers)
    assert len(seen) == len(moments)


@given(planned, times, st.floats(0, 100))
def test_fed_events_come_after_events_planned_for_the_same_moment(
    events: list[tuple[float, int]], fed: list[float], until: float
) -> None:
    """Also where the run was interrupted before."""
    engine = Engine()
    seen, handlers = recorder(engine)
    engine.feed(column_of(sorted(fed)), C)
    for row, (time, kind) in enumerate(events):
        engine.plan(time, kind, row)
    engine.run(handlers, until)
    engine.run(handlers)
    assert all(a[0] <= b[0] for a, b in pairwise(seen))
    assert all((a[1] == C) <= (b[1] == C) for a, b in pairwise(seen) if a[0] == b[0])
    assert [(time, row) for time, kind, row in seen if kind == C] == [
        (time, row) for row, time in enumerate(sorted(fed))
    ]
    assert len(seen) == len(events) + len(fed)


@given(planned, st.sets(st.integers(0, 50)))
def test_cancelled_events_do_not_happen_and_the_others_do(
    events: list[tuple[float, int]], rows: set[int]
) -> None:
    engine = Engine()
    seen, handlers = recorder(engine)
    for row, (time, kind) in enumerate(events):
        engine.plan(time, kind, row)
    cancelled = engine.cancel(A, rows.__contains__)
    in_order = sorted((time, row, kind) for row, (time, kind) in enumerate(events))
    assert cancelled == [row for _, row, kind in in_order if kind == A and row in rows]
    engine.run(handlers)
    assert seen == [(t, kind, row) for t, row, kind in in_order if not (kind == A and row in rows)]


def test_an_event_may_plan_another_for_the_same_moment() -> None:
    engine = Engine()
    seen, handlers = recorder(engine)
    handlers[B] = lambda row: engine.plan(engine.now, A, row + 1)
    engine.plan(1.0, B, 6)
    engine.run(handlers, 1.0)
    assert seen == [(1.0, A, 7)]


def test_planning_for_the_past_is_an_error() -> None:
    engine = Engine()
    engine.run(recorder(engine)[1], 5.0)
    for time in (4.9, float("nan")):
        with pytest.raises(ValueError, match="it is 5"):
            engine.plan(time, A)

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.sim.engine import Engine

times = st.lists(st.floats(0, 100), max_size=50)


@given(times)
def test_events_in_order_of_time_and_ties_in_order_of_planning(moments: list[float]) -> None:
    engine, seen = Engine(), []
    for i, time in enumerate(moments):
        engine.at(time, seen.append, (time, i))
    engine.run()
    assert seen == sorted(seen)
    assert len(seen) == len(moments)


@given(times)
def test_the_clock_moves_before_the_call(moments: list[float]) -> None:
    engine, seen = Engine(), []
    for time in moments:
        engine.at(time, lambda planned: seen.append((planned, engine.now)), time)
    engine.run()
    assert all(planned == now for planned, now in seen)
    assert all(a[1] <= b[1] for a, b in pairwise(seen))


@given(times, st.floats(0, 100))
def test_run_until_ends_exactly_there(moments: list[float], until: float) -> None:
    engine, seen = Engine(), []
    for time in moments:
        engine.at(time, seen.append, time)
    engine.run(until)
    assert engine.now == until
    assert sorted(seen) == sorted(t for t in moments if t <= until)
    engine.run()
    assert len(seen) == len(moments)


def test_an_event_may_plan_another_for_the_same_moment() -> None:
    engine, seen = Engine(), []
    engine.at(1.0, lambda _: engine.at(1.0, seen.append, "second"))
    engine.run(1.0)
    assert seen == ["second"]


def test_the_past_is_refused() -> None:
    engine = Engine()
    engine.run(5.0)
    for time in (4.9, float("nan")):
        with pytest.raises(ValueError, match="it is 5"):
            engine.at(time, print)

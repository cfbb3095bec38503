from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.drain import TRANSITIONS, Drain, DrainEvent, DrainRules, DrainState

READY, DRAINING, DRAINED, STOPPED = DrainState


def test_the_four_steps() -> None:
    drain = Drain(DrainRules(timeout=30))
    assert drain.on(DrainEvent.DRAIN, 5)
    assert (drain.state, drain.deadline) == (DRAINING, 35)
    assert drain.on(DrainEvent.IDLE, 9)
    assert (drain.state, drain.deadline) == (DRAINED, inf)
    assert drain.on(DrainEvent.STOP, 10)
    assert drain.on(DrainEvent.START, 11)
    assert drain.state is READY


def test_who_may_still_come() -> None:
    drain = Drain(DrainRules())
    assert drain.accepts(of_session=False)
    drain.on(DrainEvent.DRAIN, 0)
    assert drain.accepts(of_session=True)
    assert not drain.accepts(of_session=False)
    drain.on(DrainEvent.IDLE, 1)
    assert not drain.accepts(of_session=True)
    strict = Drain(DrainRules(sticky=False))
    strict.on(DrainEvent.DRAIN, 0)
    assert not strict.accepts(of_session=True)


def test_an_undrained_backend_is_ready_at_once() -> None:
    drain = Drain(DrainRules())
    drain.on(DrainEvent.DRAIN, 0)
    assert drain.on(DrainEvent.UNDRAIN, 1)
    assert (drain.state, drain.deadline) == (READY, inf)


def test_every_state_can_be_reached_and_left() -> None:
    assert set(TRANSITIONS.values()) == set(DrainState)
    assert {before for before, _ in TRANSITIONS} == set(DrainState)


@given(st.lists(st.sampled_from(DrainEvent)))
def test_an_event_that_does_not_apply_changes_nothing(events: list[DrainEvent]) -> None:
    drain = Drain(DrainRules())
    for i, event in enumerate(events):
        before = drain.state
        changed = drain.on(event, i)
        assert changed == ((before, event) in TRANSITIONS)
        assert drain.state is TRANSITIONS.get((before, event), before)
        assert (drain.deadline < inf) == (drain.state is DRAINING)
    for event in (DrainEvent.STOP, DrainEvent.START):  # no state is a trap
        drain.on(event, 99)
    assert drain.state is READY


def test_a_timeout_that_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="timeout is 0"):
        DrainRules(timeout=0)

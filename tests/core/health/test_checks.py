from __future__ import annotations

import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.health.checks import STARTS, TRANSITIONS, CheckRules, CheckState, Health
from lbkit.core.laws import rise_and_fall

OUTCOMES = st.lists(st.booleans(), max_size=60)
RULES = st.builds(
    CheckRules,
    rise=st.integers(1, 5),
    fall=st.integers(1, 5),
    start=st.sampled_from(sorted(STARTS)),
)


def states(rules: CheckRules, outcomes: list[bool]) -> list[CheckState]:
    health = Health(rules)
    found = []
    for passed in outcomes:
        health.observe(passed)
        found.append(health.state)
    return found


def test_three_failures_in_a_row_take_it_out_and_two_passes_bring_it_back() -> None:
    up, failing, down, recovering = CheckState
    outcomes = [False, False, True, False, False, False, False, True, False, True, True]
    assert states(CheckRules(rise=2, fall=3), outcomes) == [
        *(failing, failing, up, failing, failing, down, down),
        *(recovering, down, recovering, up),
    ]


def test_only_changes_are_returned() -> None:
    health = Health(CheckRules(fall=2))
    assert [health.observe(ok) for ok in (True, False, False, False)] == [
        *(None, CheckState.FAILING, CheckState.DOWN, None)
    ]


@pytest.mark.parametrize(
    ("start", "outcome", "after"),
    [
        ("fully-up", False, CheckState.FAILING),
        ("up", False, CheckState.DOWN),
        ("up", True, CheckState.UP),
        ("down", True, CheckState.UP),
        ("down", False, CheckState.DOWN),
        ("fully-down", True, CheckState.RECOVERING),
    ],
)
def test_the_first_outcome_counts_as_the_start_says(start: str, outcome: bool, after: CheckState) -> None:
    assert states(CheckRules(start=start), [outcome]) == [after]


def test_only_the_first_outcome_counts_more() -> None:
    assert states(CheckRules(fall=3, start="up"), [True, False, False]) == [
        CheckState.UP,
        CheckState.FAILING,
        CheckState.FAILING,
    ]


def test_each_state_has_a_transition_for_each_outcome() -> None:
    assert TRANSITIONS.keys() == set(product(CheckState, (True, False)))


@given(RULES, OUTCOMES)
def test_a_backend_goes_out_only_after_failures_and_comes_in_only_after_passes(rules, outcomes) -> None:
    """The last outcomes decide; the first one alone where the start says so."""
    got = [state.in_service for state in states(rules, outcomes)]
    if rules.start in ("up", "down") and outcomes:
        (up, *got), (first, *outcomes) = got, outcomes
        assert up is first
    else:
        up = rules.start == "fully-up"
    assert got == rise_and_fall(outcomes, rules.rise, rules.fall, up)


@given(st.integers(2, 6), OUTCOMES)
def test_flapping_below_the_threshold_never_takes_it_out(fall: int, outcomes: list[bool]) -> None:
    spread = [ok for outcome in outcomes for ok in (outcome, True)]  # no two failures in a row
    assert all(state.in_service for state in states(CheckRules(fall=fall), spread))


def test_the_interval_depends_on_the_state() -> None:
    rng = random.Random(1)
    rules = CheckRules(interval=4, timeout=0.1, fast_interval=1, down_interval=2, fall=2, rise=2)
    health = Health(rules)
    intervals = [health.next_check(rng)]
    for passed in (False, False, True, True):
        health.observe(passed)
        intervals.append(health.next_check(rng))
    assert intervals == [4, 1, 2, 1, 4]


@given(st.integers(0, 2**32), st.floats(0, 0.9))
def test_jitter_stays_around_the_interval(seed: int, jitter: float) -> None:
    health = Health(CheckRules(interval=2, timeout=0.1, jitter=jitter))
    rng = random.Random(seed)
    assert 2 * (1 - jitter) <= health.next_check(rng) <= 2 * (1 + jitter)
    assert 0 <= health.first_check(rng) <= 2


def test_a_backend_that_starts_down_is_checked_at_once() -> None:
    assert Health(CheckRules(start="down")).first_check(random.Random(1)) == 0


@given(st.integers(1, 5), st.floats(0.5, 5), st.floats(0, 1), st.booleans(), st.sampled_from([None, 0.25]))
def test_detection_takes_no_longer_than_the_closed_form(fall, interval, phase, hangs, fast) -> None:
    """A backend that fails `phase` of an interval after a check is out within interval x fall + timeout."""
    rules = CheckRules(interval=interval, timeout=0.2, fall=fall, fast_interval=fast)
    health = Health(rules)
    fault = phase * interval
    start = interval  # of the first probe after the fault
    while True:
        end = start + (rules.timeout if hangs else 0.0)
        health.observe(False)
        if not health.state.in_service:
            break
        start += health.next_check(random.Random(1))
    assert end - fault <= rules.longest_detection(hangs) + 1e-9


def test_what_probes_cost() -> None:
    assert CheckRules(interval=2).probe_rate(10) == 5


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"interval": 0}, "interval is 0: use seconds above 0"),
        ({"rise": 0}, "rise is 0: use a whole number from 1"),
        ({"fall": 2.5}, "fall is 2.5: use a whole number"),
        ({"timeout": 3}, "timeout is 3: use at most the shortest interval, 2,"),
        ({"fast_interval": 0.5}, "timeout is 1: use at most the shortest interval, 0.5,"),
        ({"timeout": 2, "jitter": 0.1}, "its jitter"),
        ({"jitter": 1}, "jitter is 1: use a share"),
        ({"start": "sleepy"}, "start is 'sleepy': use one of fully-up, up, down, fully-down"),
    ],
)
def test_rules_that_make_no_sense(fields: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        CheckRules(**fields)

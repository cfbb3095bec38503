from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit.core.health.breaker import TRANSITIONS, Breaker, BreakerRules, BreakerState
from lbkit.core.laws import follow_breakers

CLOSED, OPEN, HALF_OPEN = BreakerState


def send(breaker: Breaker, ok: bool, now: float, latency: float = 0.0) -> bool:
    """Send a request if the breaker allows it; return whether it did."""
    if not breaker.allows(now):
        return False
    breaker.started(now)
    breaker.ended(now, ok, latency, now)
    return True


def test_hystrix_opens_at_half_of_twenty_and_tries_one_after_five_seconds() -> None:
    breaker = Breaker(BreakerRules())
    for i in range(19):
        assert send(breaker, i % 2 == 0, 0.1 * i)
    assert breaker.state is CLOSED  # 9 of 19
    send(breaker, False, 1.9)
    assert breaker.state is OPEN
    assert breaker.wake == pytest.approx(6.9)
    assert not breaker.allows(6.8)
    assert breaker.allows(6.9)
    breaker.started(6.9)
    assert not breaker.allows(6.9)  # one probe
    assert breaker.ended(6.9, True, 0.1, 7.0) is CLOSED
    assert breaker.allows(7.0)


def test_a_failed_probe_opens_it_again() -> None:
    breaker = Breaker(BreakerRules(consecutive=2, failure_rate=0, open_for=5))
    send(breaker, False, 0)
    send(breaker, False, 0)
    assert send(breaker, False, 5)
    assert breaker.state is OPEN
    assert breaker.wake == 10


def test_failures_in_a_row() -> None:
    breaker = Breaker(BreakerRules(consecutive=3, failure_rate=0))
    for ok in (False, False, True, False, False):
        send(breaker, ok, 0)
    assert breaker.state is CLOSED
    send(breaker, False, 0)
    assert breaker.state is OPEN


def test_old_outcomes_leave_the_window() -> None:
    breaker = Breaker(BreakerRules(window=10, minimum=10))
    for _ in range(9):
        send(breaker, False, 0.5)
    send(breaker, False, 11.5)
    assert breaker.state is CLOSED  # the nine are gone


def test_a_window_of_calls() -> None:
    breaker = Breaker(BreakerRules(calls=10, minimum=10, failure_rate=0.5))
    outcomes = [True] * 100 + [False] * 4
    for ok in outcomes:
        send(breaker, ok, 0)
    assert breaker.state is CLOSED  # 4 of the last 10
    send(breaker, False, 0)
    assert breaker.state is OPEN


def test_slow_answers_open_it_too() -> None:
    rules = BreakerRules(failure_rate=0, slow_rate=0.5, slow_after=1.0, minimum=4)
    breaker = Breaker(rules)
    for latency in (0.1, 2.0, 0.1):
        send(breaker, True, 0, latency)
    assert breaker.state is CLOSED
    send(breaker, True, 0, 2.0)
    assert breaker.state is OPEN


def test_resilience4j_judges_ten_probes_by_the_same_rate() -> None:
    rules = BreakerRules(calls=100, minimum=100, probes=10, open_for=60)
    breaker = Breaker(rules)
    for _ in range(100):
        send(breaker, False, 0)
    for i in range(9):
        send(breaker, i >= 4, 60)  # four failures
    assert breaker.state is HALF_OPEN
    send(breaker, True, 60)
    assert breaker.state is CLOSED


def test_requests_from_before_a_change_do_not_count() -> None:
    breaker = Breaker(BreakerRules(consecutive=1, failure_rate=0, open_for=5))
    breaker.started(0)
    send(breaker, False, 1)
    assert breaker.state is OPEN
    assert breaker.allows(6)
    breaker.started(6)
    assert breaker.ended(0, True, 9, 6) is None  # it was sent while closed
    assert breaker.state is HALF_OPEN
    assert breaker.ended(6, False, 0.1, 6) is OPEN


def test_an_unknown_outcome_frees_the_probe() -> None:
    breaker = Breaker(BreakerRules(consecutive=1, failure_rate=0, open_for=5))
    send(breaker, False, 0)
    assert breaker.allows(5)
    breaker.started(5)
    breaker.ended(5, None, 0, 5)  # the client left
    assert breaker.state is HALF_OPEN
    assert breaker.allows(5)


def test_a_probe_that_does_not_end_is_waited_for_as_long_as_the_breaker_was_open() -> None:
    breaker = Breaker(BreakerRules(consecutive=1, failure_rate=0, open_for=5))
    send(breaker, False, 0)
    assert breaker.allows(7)
    breaker.started(7)  # a WebSocket, say
    assert not breaker.allows(11.9)
    assert breaker.wake == 12
    assert breaker.allows(12)
    breaker.started(12)
    assert not breaker.allows(12)
    assert breaker.ended(7, None, 5, 12) is None
    assert breaker.ended(12, True, 1, 13) is CLOSED


class ForEach(dict):
    """A breaker for each backend."""

    def __init__(self, rules: BreakerRules) -> None:
        super().__init__({name: Breaker(rules) for name in "abc"})

    def allows(self, backend: str, now: float) -> bool:
        return self[backend].allows(now)

    def started(self, backend: str, now: float) -> None:
        self[backend].started(now)

    def ended(self, backend: str, started: float, ok: bool, now: float) -> None:
        self[backend].ended(started, ok, now - started, now)


@settings(max_examples=30)
@given(st.integers(1, 4), st.sampled_from([0.5, 2.0]), st.integers(0, 999))
def test_failures_in_a_row_are_counted_as_in_a_plain_account(failures, open_for, seed) -> None:
    rules = BreakerRules(failure_rate=0, consecutive=failures, open_for=open_for)
    follow_breakers(ForEach(rules), failures, open_for, random.Random(seed))


RULES = st.builds(
    BreakerRules,
    failure_rate=st.sampled_from([0.0, 0.3, 1.0]),
    minimum=st.integers(1, 5),
    calls=st.sampled_from([0, 3, 10]),
    consecutive=st.integers(1, 4),
    open_for=st.just(5.0),
    probes=st.integers(1, 3),
)
STEPS = st.lists(st.tuples(st.sampled_from(["send", "end", "wait"]), st.booleans(), st.integers(0, 3)))


@given(RULES, STEPS)
def test_any_order_of_events(rules: BreakerRules, steps: list) -> None:
    """Transitions are those of the table, no count is below 0, probes are bounded, no state is a trap."""
    breaker, now, running = Breaker(rules), 0.0, []
    allowed = {(before, after) for (before, _), after in TRANSITIONS.items()}
    for what, ok, pick in steps:
        before = breaker.state
        if what == "send" and breaker.allows(now):
            breaker.started(now)
            running.append(now)
        elif what == "end" and running:
            started = running.pop(pick % len(running))
            breaker.ended(started, ok, now - started, now)
        elif what == "wait":
            now += pick
        now += 0.001  # nothing happens at the very same time
        if breaker.state is not before:
            assert (before, breaker.state) in allowed or (before, breaker.state) == (OPEN, CLOSED)
        assert breaker._running >= 0
        assert breaker._running + len(breaker._probes) <= rules.probes
        assert breaker._outcomes.all >= breaker._outcomes.failed >= 0
    while running:
        breaker.ended(running.pop(), True, 0, now)
    for _ in range(rules.probes * 2 + 2):  # all is well again: it closes
        now += rules.open_for
        send(breaker, True, now)
    assert breaker.state is CLOSED


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"failure_rate": 2}, "failure_rate is 2: use a share"),
        ({"failure_rate": 0}, "nothing opens it"),
        ({"slow_rate": 0.5}, "slow_rate needs slow_after"),
        ({"minimum": 0}, "minimum is 0"),
        ({"open_for": 0}, "open_for is 0"),
        ({"probes": 0}, "probes is 0"),
    ],
)
def test_rules_that_make_no_sense(fields: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        BreakerRules(**fields)


@pytest.mark.parametrize("steps", [(), (1.0,), (1.0, 7.0)], ids=["closed", "open", "half open"])
def test_the_operators_order_holds_in_every_state(steps: tuple[float, ...]) -> None:
    for opens in (True, False):
        breaker = Breaker(BreakerRules(consecutive=1, open_for=5.0))
        if steps:
            breaker.ended(0.5, False, 0.1, steps[0])
        for now in steps[1:]:
            breaker.allows(now)
        breaker.order(opens, 8.0)
        assert breaker.allows(8.0) is not opens
        assert breaker.state is (BreakerState.OPEN if opens else BreakerState.CLOSED)
        assert breaker.allows(13.0)  # an open one tries again after its time

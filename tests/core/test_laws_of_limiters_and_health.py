"""The laws of limiters, checks and breakers notice what breaks them."""

from __future__ import annotations

import random

import pytest

from lbkit.core.laws import (
    Violation,
    burst_of,
    busiest_window,
    denials_change_nothing,
    follow_breakers,
    rise_and_fall,
)


def test_the_burst_is_what_is_above_the_rate_in_the_worst_stretch() -> None:
    assert burst_of([], 2) == 0
    assert burst_of([(0, 1), (0, 1), (1, 1), (1, 1), (9, 1)], 1) == 3  # four in one second


def test_the_busiest_window_does_not_contain_its_end() -> None:
    assert busiest_window([], 1.0) == (0.0, 0)
    assert busiest_window([0, 1, 1.5, 1.9, 2], 1.0) == (1, 3)


def test_a_limiter_that_counts_denied_requests_breaks_the_law_of_denials() -> None:
    def make(pays: bool):
        used = []

        def ask(now: float) -> bool:
            allowed = sum(t > now - 1 for t in used) < 2
            if allowed or pays:
                used.append(now)
            return allowed

        return ask

    times = [0.0, 0.1, 0.2, 1.15]
    denials_change_nothing(lambda: make(False), times)
    with pytest.raises(Violation, match=r"expected True at 1.15 s, also after \d+ denied requests"):
        denials_change_nothing(lambda: make(True), times)


def test_rise_and_fall_are_counted_in_a_row() -> None:
    outcomes = [mark == "+" for mark in "-+--++"]
    assert rise_and_fall(outcomes, rise=2, fall=2, up=True) == [True, True, True, False, False, True]


@pytest.mark.parametrize("always", [True, False])
def test_a_breaker_that_never_changes_breaks_the_account(always: bool) -> None:
    class Stuck:
        def allows(self, backend: str, now: float) -> bool:
            return always

        def started(self, backend: str, now: float) -> None: ...

        def ended(self, backend: str, started: float, ok: bool, now: float) -> None: ...

    with pytest.raises(Violation, match="`allows` to be"):
        follow_breakers(Stuck(), 3, 2.0, random.Random(1))

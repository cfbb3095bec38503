from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.retry import Backoff, Hedge, RetryBudget, RetryBudgetRules


def test_pauses_double_up_to_the_cap() -> None:
    backoff = Backoff(base=0.1, cap=1.0, jitter="none")
    assert [backoff.pause(n, random.Random(1)) for n in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert backoff.pause(10_000, random.Random(1)) == 1.0


@given(st.integers(0, 100), st.integers(), st.sampled_from(["full", "equal"]))
def test_jitter_draws_below_the_pause(retry: int, seed: int, jitter: str) -> None:
    most = Backoff(jitter="none").pause(retry, random.Random(1))
    pause = Backoff(jitter=jitter).pause(retry, random.Random(seed))
    assert (most / 2 if jitter == "equal" else 0) <= pause <= most


def test_full_jitter_spreads_evenly() -> None:
    rng = random.Random(1)
    pauses = [Backoff(base=1, cap=1).pause(0, rng) for _ in range(10_000)]
    assert sum(pauses) / len(pauses) == pytest.approx(0.5, abs=0.02)


def test_a_budget_of_a_fifth() -> None:
    budget = RetryBudget(RetryBudgetRules(ratio=0.2, window=10, minimum=0))
    for i in range(100):
        budget.request(i / 10)
    assert sum(budget.retry(9.9) for _ in range(100)) == 20
    assert not budget.retry(30)  # the window is empty


def test_some_retries_are_always_allowed() -> None:
    budget = RetryBudget(RetryBudgetRules(ratio=0.2, window=10, minimum=1))
    assert sum(budget.retry(0) for _ in range(100)) == 10


@given(
    st.lists(st.tuples(st.floats(0, 5), st.booleans())),
    st.floats(0, 1),
    st.floats(0.5, 20),
    st.floats(0, 2),
)
def test_retries_never_exceed_the_budget(steps, ratio: float, window: float, minimum: float) -> None:
    budget = RetryBudget(RetryBudgetRules(ratio, window, minimum))
    now, requests, retries = 0.0, 0, 0
    for wait, is_request in steps:
        now += wait
        if is_request:
            budget.request(now)
            requests += 1
        else:
            retries += budget.retry(now)
        # In total: the budget of each window, and of the windows that there were.
        assert retries <= ratio * requests + minimum * window * (1 + now / (0.9 * window)) + 1e-9
        assert budget._requests >= 0 <= budget._retries


@pytest.mark.parametrize(
    ("cls", "fields", "why"),
    [
        (Backoff, {"base": -1}, "base is -1"),
        (Backoff, {"base": 2}, "cap is 0.25: use seconds, at least base"),
        (Backoff, {"jitter": "some"}, "jitter is 'some': use full, equal or none"),
        (RetryBudgetRules, {"window": 0}, "window is 0"),
        (Hedge, {"after": 0}, "after is 0"),
        (Hedge, {"after": 1, "max_copies": 0}, "max_copies is 0"),
    ],
)
def test_rules_that_make_no_sense(cls, fields: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        cls(**fields)


def test_a_budget_says_how_many_retries_are_left() -> None:
    budget = RetryBudget(RetryBudgetRules(0.5, window=10.0, minimum=0.1))
    assert budget.left(0.0) == 1.0
    budget.request(0.0)
    assert budget.left(0.0) == 1.5
    assert budget.retry(0.0)
    assert budget.left(0.0) == 0.5
    assert not budget.retry(0.0)
    assert budget.left(20.0) == 1.0  # what was counted is older than the window

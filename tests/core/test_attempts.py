"""The plan after a failure, without sockets: what may be sent again, where, and how often."""

import random
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core import Backend
from lbkit.core.attempts import (
    COUNTS,
    Again,
    AttemptEvent,
    AttemptPolicy,
    Attempts,
    Failure,
    GiveUp,
    Kind,
    Repeat,
)
from lbkit.core.retry import AttemptTimeouts, Backoff, Fallback, Hedge, Retry, RetryBudgetRules

A, B, C = (Backend(name) for name in "abc")


def plan(retries: int = 1, safe: bool = True) -> Attempts:
    return Attempts(AttemptPolicy(retries), safe)


@pytest.mark.parametrize("failure", [f for f in Failure if f.repeat is Repeat.ALWAYS])
@pytest.mark.parametrize("safe", [True, False])
def test_a_request_that_was_never_sent_goes_to_another_backend(failure: Failure, safe: bool) -> None:
    attempts = plan(safe=safe)
    assert attempts.after(failure, A) == Again(None)
    assert attempts.tried == (A,)
    assert attempts.after(failure, B) == GiveUp(failure.status)


@pytest.mark.parametrize("failure", [f for f in Failure if f.repeat is Repeat.IF_SAFE])
def test_a_request_that_may_have_been_served_is_repeated_only_if_that_is_safe(failure: Failure) -> None:
    assert plan().after(failure, A) == Again(None)
    assert plan(safe=False).after(failure, A) == GiveUp(failure.status)
    assert plan(safe=False).after(failure, A, kept=True) == GiveUp(failure.status)


@pytest.mark.parametrize("safe", [True, False])
def test_a_request_that_a_backend_has_left_out_is_repeated_if_it_is_still_there(safe: bool) -> None:
    assert plan(safe=safe).after(Failure.UNPROCESSED, A) == Again(None)
    attempts = plan(safe=safe)
    assert attempts.after(Failure.UNPROCESSED, A, kept=True) == Again(A)  # the connection ended, not A
    assert attempts.after(Failure.UNPROCESSED, A, kept=True) == Again(None)
    gone = plan(safe=safe)
    gone.whole = False
    assert gone.after(Failure.UNPROCESSED, A, kept=True) == GiveUp(502)


@pytest.mark.parametrize("failure", [f for f in Failure if f.repeat is Repeat.NEVER])
def test_a_failure_that_would_happen_again_is_not_repeated(failure: Failure) -> None:
    assert plan(retries=9).after(failure, A) == GiveUp(failure.status)


def test_a_kept_connection_that_closes_is_renewed_once_and_does_not_count() -> None:
    attempts = plan()
    assert attempts.after(Failure.CLOSED_UNANSWERED, A, kept=True) == Again(A)
    assert attempts.tried == ()
    assert attempts.after(Failure.REFUSED, A) == Again(None)  # it was not the connection: A is gone
    assert attempts.after(Failure.CLOSED_UNANSWERED, B, kept=True) == Again(B)  # B has its own chance
    assert attempts.after(Failure.CLOSED_UNANSWERED, B) == GiveUp(502)
    assert attempts.tried == (A, B)


def test_the_last_failure_gives_the_status() -> None:
    attempts = plan(retries=2)
    attempts.after(Failure.REFUSED, A)
    attempts.after(Failure.CONNECT_TIMEOUT, B)
    assert attempts.status == 504
    assert attempts.after(Failure.RESET, C) == GiveUp(502)


@given(
    retries=st.integers(0, 4),
    safe=st.booleans(),
    failures=st.lists(st.tuples(st.sampled_from(Failure), st.booleans()), min_size=30, max_size=30),
)
def test_it_ends(retries: int, safe: bool, failures: list[tuple[Failure, bool]]) -> None:
    """However attempts fail, a request is sent to 1 + retries backends at most, twice to each at most."""
    attempts, backends = plan(retries, safe), [Backend(f"b{i}") for i in range(40)]
    at, sent = 0, 0
    for failure, kept in failures:
        sent += 1
        step = attempts.after(failure, backends[at], kept)
        if isinstance(step, GiveUp):
            break
        if step.backend is None:
            assert backends[at] in attempts.tried
            at += 1
        else:
            assert step.backend is backends[at]
    assert isinstance(step, GiveUp)
    assert len(attempts.tried) == len(set(attempts.tried)) <= 1 + retries
    assert sent <= 2 * (1 + retries)


def test_no_retry_is_counted_where_no_other_backend_is_left() -> None:
    policy = AttemptPolicy(9, Retry(budget=RetryBudgetRules(0.5, 10.0, 0.1)))
    attempts = Attempts(policy, True, has_other=lambda tried: B not in tried)
    assert attempts.after(Failure.REFUSED, A) == Again(None)
    assert attempts.after(Failure.REFUSED, B) == GiveUp(502)
    assert (policy.counts["retries"], policy.counts["over_budget"]) == (1, 0)


# -- with rules ------------------------------------------------------------------------------------


def test_each_retry_waits_longer() -> None:
    policy = AttemptPolicy(3, Retry(backoff=Backoff(0.1, 0.3, jitter="none")), random.Random(1))
    attempts = Attempts(policy, True)
    assert [attempts.after(Failure.REFUSED, b).delay for b in (A, B, C)] == [0.1, 0.2, 0.3]  # type: ignore[union-attr]


def test_the_budget_is_shared_by_all_requests_of_a_balancer() -> None:
    policy = AttemptPolicy(1, Retry(budget=RetryBudgetRules(0.5, 10.0, 0.0)))
    for _ in range(4):
        policy.began(0.0)
    steps = [Attempts(policy, True).after(Failure.REFUSED, A, now=1.0) for _ in range(4)]
    assert steps == [Again(None), Again(None), GiveUp(502), GiveUp(502)]
    assert (policy.counts["retries"], policy.counts["over_budget"]) == (2, 2)
    assert not policy.may_hedge(0, 1.0, A)  # no rule for hedges, so none is counted either
    assert policy.counts["over_budget"] == 2


def test_a_new_connection_to_the_same_backend_costs_no_budget() -> None:
    policy = AttemptPolicy(1, Retry(budget=RetryBudgetRules(0.0, 10.0, 0.0)))
    attempts = Attempts(policy, True)
    assert attempts.after(Failure.CLOSED_UNANSWERED, A, kept=True) == Again(A)
    assert attempts.after(Failure.CLOSED_UNANSWERED, A, kept=True) == GiveUp(502)


@pytest.mark.parametrize(("until", "again"), [(1.4, False), (1.5, False), (1.6, True), (inf, True)])
def test_no_retry_begins_at_the_deadline_or_after_it(until: float, again: bool) -> None:
    policy = AttemptPolicy(1, Retry(backoff=Backoff(0.5, 0.5, jitter="none")), random.Random(1))
    step = Attempts(policy, True, until).after(Failure.REFUSED, A, now=1.0)
    assert step == (Again(None, 0.5) if again else GiveUp(502))


def test_a_failure_that_another_copy_makes_up_for_is_only_noted() -> None:
    attempts = plan()
    attempts.failed(Failure.ATTEMPT_TIMEOUT, A)
    assert (attempts.tried, attempts.status) == ((A,), 504)
    assert attempts.after(Failure.REFUSED, B) == GiveUp(502)  # it counts as one that was tried


def test_hedges_are_bounded() -> None:
    policy = AttemptPolicy(0, Retry(hedge=Hedge(1.0, 2)))
    assert [policy.may_hedge(sent, 0.0, A) for sent in range(4)] == [True, True, False, False]


def test_what_happens_is_counted_and_the_first_events_are_kept_with_their_times() -> None:
    policy = AttemptPolicy(9)
    policy.keep = 2
    for second in (1.0, 2.0, 3.0):
        Attempts(policy, True).after(Failure.REFUSED, A, now=second)
    assert policy.counts["retries"] == 3
    assert policy.events == [
        AttemptEvent(1.0, Kind.RETRY, "a", "refused"),
        AttemptEvent(2.0, Kind.RETRY, "a", "refused"),
    ]


def test_nothing_is_kept_unless_an_engine_asks_for_it() -> None:
    policy = AttemptPolicy(9)
    Attempts(policy, True).after(Failure.REFUSED, A)
    assert policy.events == []
    assert policy.facts() == {}
    assert AttemptPolicy(1, Retry()).facts()["attempt_counts"]["retries"] == 0


def test_each_kind_of_event_has_a_count() -> None:
    assert set(COUNTS) == set(Kind)
    assert AttemptPolicy().counts.keys() == set(COUNTS.values())


@pytest.mark.parametrize(
    ("cls", "options", "why"),
    [
        (Retry, {"statuses": (200,)}, "statuses has 200: use statuses from 400 to 599"),
        (Retry, {"statuses": 503}, "statuses is 503: use a list"),
        (Retry, {"buffer": -1}, "buffer is -1"),
        (Retry, {"deadline": 0}, "deadline is 0: use a number above 0"),
        (Retry, {"hedge": 0.1}, r"hedge is 0.1: use Hedge\(...\)"),
        (AttemptTimeouts, {"first_byte": 0}, "first_byte is 0: use a number above 0"),
        (Fallback, {"status": 99}, "status is 99"),
        (Fallback, {"content_type": "a\r\nb: c"}, "content_type is"),
    ],
)
def test_rules_that_make_no_sense(cls: type, options: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        cls(**options)

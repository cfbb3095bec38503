"""The plan after a failure, without sockets: what may be sent again, where, and how often."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core import Backend
from lbkit.core.attempts import Again, AttemptPolicy, Attempts, Failure, GiveUp, Repeat

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

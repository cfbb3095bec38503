"""Checks of `Breakers`."""

import random

from lbkit.core.laws import follow_breakers
from lbkit.course import Times, expect

from . import task


def send(breakers, backend, ok, now):
    """Send a request that is answered at once, if it may go; return whether it did."""
    if not breakers.allows(backend, now):
        return False
    breakers.started(backend, now)
    breakers.ended(backend, now, ok, now)
    return True


def opened(Breakers, failures=3, open_for=2.0):
    """Breakers of which that of "a" has opened at second 10."""
    breakers = Breakers(failures=failures, open_for=open_for)
    for _ in range(failures):
        send(breakers, "a", False, 10.0)
    return breakers


@task.check(points=2)
def failures_in_a_row_open_it(Breakers, Shedder):
    """After `failures` failures in a row nothing is sent to a backend, and not before."""
    for failures in (1, 3):
        breakers = Breakers(failures=failures, open_for=2.0)
        sent = [send(breakers, "a", False, 10.0 + n / 10) for n in range(8)]
        expect(
            sum(sent) == failures,
            f"{failures} of 8 requests sent to a backend that fails them all, within 0.8 s (failures={failures})",
            f"{sum(sent)} sent",
            "what does `allows` say after the last of these failures?",
        )


@task.check(points=1)
def a_success_forgives(Breakers, Shedder):
    """Failures with a success between them do not add up."""
    breakers = Breakers(failures=3, open_for=2.0)
    sent = [send(breakers, "a", mark == "+", 10.0) for mark in "--+--+--+"]
    expect(
        all(sent),
        "all of 9 requests sent, of which two fail, one succeeds, and so on (failures=3)",
        f"{sum(sent)} sent",
        "in a row: what does a success do to the count?",
    )


@task.check(points=2)
def it_stays_open_for_its_time(Breakers, Shedder):
    """An open breaker lets nothing pass for `open_for` seconds."""
    breakers = opened(Breakers)
    times = [10.0 + n / 10 for n in range(1, 20)]
    early = [now for now in times if breakers.allows("a", now)]
    expect(
        not early,
        "no request from second 10 to 12: the breaker opened at 10 (open_for=2)",
        f"it allows one at second {early[0] if early else 0:.1f}",
        "remember when it opened",
        Times({"allowed": [now - 10 for now in early]}, 2.0),
    )


@task.check(points=2)
def then_a_request_may_try(Breakers, Shedder):
    """After `open_for` seconds a request may try, and a success closes the breaker."""
    breakers = opened(Breakers)
    expect(
        breakers.allows("a", 12.5),
        "a request allowed at second 12.5: the breaker opened at 10 (open_for=2)",
        "it is not allowed",
        "a breaker that never tries never learns that the backend is well again",
    )
    send(breakers, "a", True, 12.5)
    sent = sum(send(breakers, "a", True, 12.6) for _ in range(5))
    expect(
        sent == 5,
        "all of the next 5 requests sent, after the one that tried has succeeded",
        f"{sent} sent",
        "a good answer closes the breaker; everything is as in the beginning",
    )
    sent = sum(send(breakers, "a", False, 13.0) for _ in range(5))
    expect(sent == 3, "3 more failures open it again (failures=3)", f"{sent} sent", "where does the count begin?")


@task.check(points=3)
def one_tries_at_a_time(Breakers, Shedder):
    """When it is half open, one request is on its way, and the others wait for its outcome."""
    breakers = opened(Breakers)
    sent = 0
    for _ in range(20):
        if breakers.allows("a", 12.5):
            breakers.started("a", 12.5)
            sent += 1
    expect(
        sent <= 1,
        "1 of 20 requests that come at second 12.5, half a second after its time is over",
        f"{sent} sent",
        "a backend that has just come back gets all of them at once; `started` can remember that one is trying",
    )


@task.check(points=2)
def a_failed_try_opens_it_again(Breakers, Shedder):
    """If the request that tries fails, the breaker is open for another `open_for` seconds."""
    breakers = opened(Breakers)
    if not breakers.allows("a", 12.5):
        return  # another check says so
    breakers.started("a", 12.5)
    breakers.ended("a", 12.5, False, 13.0)
    early = [now for now in (13.0, 13.5, 14.0, 14.9) if breakers.allows("a", now)]
    expect(
        not early,
        "nothing allowed from second 13 to 15: the try failed at 13 (open_for=2)",
        f"a request is allowed at second {early[0] if early else 0}",
        "one failure is enough while it is half open, and the time begins again",
    )
    expect(
        breakers.allows("a", 15.5),
        "another try allowed at second 15.5",
        "it is not allowed",
        "is the failed one still counted as being on its way?",
    )


@task.check(points=2)
def each_backend_has_its_own(Breakers, Shedder):
    """A backend that fails does not close the door of another."""
    breakers = Breakers(failures=3, open_for=2.0)
    for _ in range(2):
        send(breakers, "b", False, 9.0)
    for _ in range(3):
        send(breakers, "a", False, 10.0)
    expect(
        breakers.allows("b", 10.0) and breakers.allows("c", 10.0),
        "b (two failures) and c (none) allowed, when a has failed three times (failures=3)",
        " and ".join(name for name in "bc" if not breakers.allows(name, 10.0)) + " not allowed",
        "count the failures of each backend separately",
    )


@task.check(points=2)
def old_requests_say_nothing(Breakers, Shedder):
    """The end of a request that was sent before the breaker opened changes nothing while it is open."""
    hint = "`started` says when the request was sent: was that before the breaker opened?"
    for ok in (True, False):
        word = "succeeds" if ok else "fails"
        breakers = opened(Breakers)
        breakers.ended("a", 9.5, ok, 11.0)
        expect(
            not breakers.allows("a", 11.5),
            f"nothing allowed at 11.5: it opened at 10 (open_for=2), and a request sent at 9.5 {word} at 11",
            "a request is allowed",
            hint,
        )
    for ok in (True, False):
        word = "succeeds" if ok else "fails"
        with_old, without = (tries(opened(Breakers), not ok, old) for old in (ok, None))
        expect(
            with_old == without,
            f"{without}: whether requests are allowed at 12.5, 12.7 and 12.9. It opened at 10, one that tries is sent "
            f"at 12.5 and {'fails' if ok else 'succeeds'} at 12.8; one that had been sent at 9.6 {word} at 12.6",
            f"{with_old}; without the old request: {without}",
            hint,
        )


def tries(breakers, ok, old):
    """Let a request try from 12.5 to 12.8, and an old one end at 12.6; return what is allowed in between."""
    seen = [bool(breakers.allows("a", 12.5))]
    if seen[0]:
        breakers.started("a", 12.5)
    if old is not None:
        breakers.ended("a", 9.6, old, 12.6)
    seen.append(bool(breakers.allows("a", 12.7)))
    if seen[0]:
        breakers.ended("a", 12.5, ok, 12.8)
    return [*seen, bool(breakers.allows("a", 12.9))]


@task.check(points=3, hidden=True)
def as_a_plain_account(Breakers, Shedder):
    """On random days it allows what a plain account allows."""
    for seed in range(60):
        rng = random.Random(seed)
        failures, open_for = rng.randint(1, 4), rng.choice((0.5, 2.0))
        follow_breakers(Breakers(failures=failures, open_for=open_for), failures, open_for, rng)

"""Checks of `Shedder`."""

import random

from lbkit.course import expect

from . import task


def shedder_after(Shedder, good, failed, now=10.0, **settings):
    """A shedder that has seen so many successes and failures at one moment."""
    shedder = Shedder(**settings)
    for number in range(good + failed):
        shedder.ended(number < good, now)
    return shedder


def formula(good, failed, aim=0.95, most=0.9):
    count = good + failed
    return min(most, max(0.0, (count - good / aim) / (count + 1)))


@task.check(points=1)
def a_few_failures_shed_nothing(Breakers, Shedder):
    """As long as the share of successes is `aim` or more, nothing is rejected."""
    for good, failed in ((0, 0), (100, 0), (96, 4)):
        got = shedder_after(Shedder, good, failed).share(10.0)
        expect(
            abs(got) < 1e-9,
            f"a share of 0 after {good} successes and {failed} failures (aim 0.95)",
            f"{got:.3f}",
            "the successes are divided by `aim` first: 95 of 100 count as all",
        )


@task.check(points=2)
def the_share_follows_the_failures(Breakers, Shedder):
    """The more of the requests that were let through fail, the more are rejected, as the formula says."""
    for good, failed in ((80, 20), (50, 50), (20, 80)):
        got, due = shedder_after(Shedder, good, failed).share(10.0), formula(good, failed)
        expect(
            abs(got - due) < 0.05,
            f"a share of {due:.2f} after {good} successes and {failed} failures (aim 0.95)",
            f"{got:.2f}",
            "(count - good / aim) / (count + 1), where both are counts of the window",
        )


@task.check(points=1)
def one_failure_is_no_storm(Breakers, Shedder):
    """After a single failure about half of the requests is rejected, not nearly all."""
    got = shedder_after(Shedder, 0, 1).share(10.0)
    expect(
        0.4 <= got <= 0.6,
        "a share of 0.5 when the only outcome so far is a failure",
        f"{got:.2f}",
        "one outcome says little: what is the 1 for in count + 1?",
    )


@task.check(points=2)
def some_always_pass(Breakers, Shedder):
    """When all requests fail, at most the share `most` is rejected: the others find out when it is over."""
    for most in (0.9, 0.5):
        got = shedder_after(Shedder, 0, 2000, most=most).share(10.0)
        expect(
            most - 0.01 < got < most + 1e-6,
            f"a share of {most} after 2000 failures and no success (most={most})",
            f"{got:.3f}",
            "without a request that passes there is no success from which it could learn",
        )


@task.check(points=2)
def old_outcomes_are_forgotten(Breakers, Shedder):
    """An outcome counts for `window` seconds."""
    shedder = shedder_after(Shedder, 0, 100, now=10.0, window=5.0)
    for _ in range(100):
        shedder.ended(True, 13.0)
    for now, due in ((14.0, formula(100, 100)), (16.0, 0.0)):
        got = shedder.share(now)
        expect(
            abs(got - due) < 0.05,
            f"a share of {due:.2f} at second {now:g}: 100 failures at 10, 100 successes at 13 (window 5)",
            f"{got:.2f}",
            "which outcomes are younger than the window?",
        )


@task.check(points=2, hidden=True)
def as_the_formula_on_random_days(Breakers, Shedder):
    """On random days its share is what a plain account of the window says."""
    for seed in range(20):
        rng = random.Random(seed)
        window, aim, most = rng.choice((1.0, 5.0)), rng.choice((0.8, 0.95)), rng.choice((0.5, 0.9))
        shedder, outcomes, now = Shedder(window=window, aim=aim, most=most), [], 0.0
        for _ in range(400):
            now += rng.expovariate(200 / window)
            ok = rng.random() < 0.5 + 0.5 * (now % 20 < 10)
            shedder.ended(ok, now)
            outcomes.append((now, ok))
            inside = [ok for t, ok in outcomes if t > now - window]
            due = formula(sum(inside), len(inside) - sum(inside), aim, most)
            got = shedder.share(now)
            expect(0 <= got <= most and abs(got - due) < 0.15, f"{due:.3f}", f"{got:.3f}")

"""Checks of the lab "Which server is dead?"."""

import random

from lbkit.core.laws import rise_and_fall
from lbkit.course import Steps, Task, Wrong, expect

task = Task(
    title="Which server is dead?",
    module="which_server_is_dead",
    defines=("Watch",),
    minutes=60,
    difficulty=2,
    before="notebook 05, up to rise and fall",
)


def states(watch, results):
    """The state after each result: "+" for a good one, "-" for a bad one."""
    seen = []
    for number, result in enumerate(results):
        watch.result(number, result == "+")
        seen.append("up" if watch.up else "down")
    return seen


def compare(watch, results, due, hint):
    got = states(watch, results)
    wanted = due.split()
    expect(
        got == wanted,
        f"the states {' '.join(wanted)} after the results {' '.join(results)}",
        " ".join(got),
        hint,
        Steps(wanted, got),
    )


@task.check(points=2)
def three_failures_take_it_down(Watch):
    """With fall=3, a server is down after the third bad result in a row, not before."""
    compare(
        Watch(rise=2, fall=3),
        "+---",
        "up up up down",
        "one lost packet is not a dead server; the third failure in a row is what was asked for",
    )


@task.check(points=2)
def two_successes_bring_it_back(Watch):
    """With rise=2, a server is up again after the second good result in a row."""
    compare(
        Watch(rise=2, fall=1),
        "-++-++",
        "down down up down down up",
        "which number counts depends on the state: `fall` when it is up, `rise` when it is down",
    )


@task.check(points=2)
def a_success_forgives_failures(Watch):
    """Failures that are not in a row do not add up."""
    compare(
        Watch(rise=2, fall=3),
        "--+--+--+",
        "up up up up up up up up up",
        "a good result in between: the failures before it do not count any more",
    )


@task.check(points=1)
def a_failure_undoes_successes(Watch):
    """A server that is down and answers every other time stays down."""
    compare(
        Watch(rise=2, fall=1),
        "-+-+-+-",
        "down down down down down down down",
        "`rise` good results in a row are asked for",
    )


@task.check(points=1)
def it_begins_as_it_is_told(Watch):
    """A server that begins as down has to earn its place."""
    compare(
        Watch(rise=3, fall=2, up=False),
        "++++--",
        "down down up up up down",
        "with up=False a new server gets no requests until `rise` probes have succeeded",
    )


@task.check(points=1)
def a_change_is_told_once(Watch):
    """`result` returns "up" or "down" when the state changes, and None otherwise."""
    watch = Watch(rise=1, fall=2)
    told = [watch.result(number, ok) for number, ok in enumerate((True, False, False, False, True, True))]
    due = [None, None, "down", None, "up", None]
    expect(
        told == due,
        f"{due}",
        f"{told}",
        "each change that you report may wake an operator: report it once",
        Steps([str(each) for each in due], [str(each) for each in told]),
    )


@task.check(points=2)
def late_results_are_ignored(Watch):
    """The result of an older probe, which arrives after that of a newer one, changes nothing."""
    watch = Watch(rise=2, fall=3, up=True)
    for number in (3, 0, 1, 2):
        watch.result(number, number == 3)
    expect(
        watch.up,
        "up: probe 3 was answered; then the timeouts of probes 0, 1 and 2 became known, which had been sent before",
        "down",
        "the number says when a probe was sent; what is the latest one that you have a result of?",
    )
    for number in (4, 5):
        watch.result(number, False)
    watch.result(2, True)
    watch.result(6, False)
    expect(
        not watch.up,
        "down: probes 4, 5 and 6 failed one after the other; a good result of probe 2 came late in between",
        "up",
        "a late result neither adds to what you count nor resets it",
    )


@task.check(points=1)
def impossible_settings_are_errors(Watch):
    """A rise or fall below 1, or a timeout above the interval, is a ValueError."""
    for settings in ({"rise": 0}, {"fall": 0}, {"interval": 1.0, "timeout": 2.0}, {"timeout": 0}):
        said = ", ".join(f"{name}={value}" for name, value in settings.items())
        try:
            Watch(**settings)
        except ValueError:
            continue
        raise Wrong(
            f"a ValueError for Watch({said})",
            "none",
            "with a timeout above the interval, probes of a hanging server pile up, and results overtake each other",
        )
    try:
        Watch(rise=1, fall=1, interval=1.0, timeout=1.0)
    except ValueError as error:
        raise Wrong(
            "that Watch(rise=1, fall=1, interval=1.0, timeout=1.0) works: one probe ends when the next begins",
            f"ValueError: {error}",
            "is that above, or just equal?",
        ) from None


@task.check(points=3, hidden=True)
def as_a_plain_account(Watch):
    """On random results it decides as a plain account does."""
    for seed in range(100):
        rng = random.Random(seed)
        rise, fall, up = rng.randint(1, 4), rng.randint(1, 4), rng.random() < 0.5
        watch, outcomes, latest, state = Watch(rise=rise, fall=fall, up=up), [], -1, up
        for number in range(60):
            sent, ok = max(0, number - rng.choice((0, 0, 0, 1, 2))), rng.random() < 0.5
            if sent > latest:
                latest = sent
                outcomes.append(ok)
            told = watch.result(sent, ok)
            before, state = state, [up, *rise_and_fall(outcomes, rise, fall, up)][-1]
            due = None if state is before else "up" if state else "down"
            expect(watch.up is state and told == due, f"{state}, {due}", f"{watch.up}, {told}")

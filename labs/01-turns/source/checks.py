"""Checks of the lab "Turns"."""

from collections import Counter

from lbkit.core import Backend, Pool
from lbkit.course import Steps, Task, expect, in_any_history

task = Task(
    title="Turns",
    module="turns",
    defines=("Turns",),
    minutes=45,
    difficulty=1,
    before="notebook 03, up to weights",
)


def pool_of(Turns, **weights):
    return Pool([Backend(name, weight=weight) for name, weight in weights.items()], Turns())


def picks(pool, count):
    """The names of the next backends; each request ends before the next one comes."""
    names = []
    for _ in range(count):
        lease = pool.acquire("", 0.0)
        names.append(lease.backend.name)
        lease.release(True, 0.0)
    return names


@task.check(points=1)
def equal_servers_take_turns(Turns):
    """Three servers of equal weight get one of every three requests each."""
    got = picks(pool_of(Turns, a=1, b=1, c=1), 9)
    expect(
        all(len(set(got[i : i + 3])) == 3 for i in (0, 3, 6)),
        "each of a, b and c once in three requests, and then again",
        " ".join(got),
        "whose turn it is must be remembered from one pick to the next",
        Steps(["a", "b", "c"] * 3, got),
    )


@task.check(points=2)
def counts_follow_weights(Turns):
    """With weights 5, 1 and 1, every seven requests are five, one and one."""
    got = picks(pool_of(Turns, a=5, b=1, c=1), 21)
    for begin in (0, 7, 14):
        counts = Counter(got[begin : begin + 7])
        expect(
            counts == {"a": 5, "b": 1, "c": 1},
            "in every 7 requests 5 for a, 1 for b and 1 for c",
            f"requests {begin + 1} to {begin + 7} were {counts['a']}, {counts['b']} and {counts['c']}: "
            + " ".join(got[begin : begin + 7]),
            "all weights together are a cycle: 7 requests here, and after it everything is as before it",
        )


@task.check(points=2)
def turns_are_spread_out(Turns):
    """A heavy server's turns are spread out: no server is ever a whole request ahead of its share."""
    weights = {"a": 5, "b": 1, "c": 1}
    got = picks(pool_of(Turns, **weights), 14)
    for length in range(1, 15):
        counts = Counter(got[:length])
        for name, weight in weights.items():
            due = weight * length / 7
            expect(
                abs(counts[name] - due) < 1,
                f"that after {length} requests {name} has had {due:.2g} of them, give or take less than one",
                f"it has had {counts[name]}: {' '.join(got)}",
                "five requests in a row are a burst: let the others in between, as in a a b a c a a",
                Steps(["a", "a", "b", "a", "c", "a", "a"] * 2, got),
            )


@task.check(points=1)
def weights_may_be_fractions(Turns):
    """Weights need not be whole: a third and two thirds are one request in three, and two."""
    counts = Counter(picks(pool_of(Turns, a=1 / 3, b=2 / 3), 30))
    expect(
        abs(counts["a"] - 10) <= 1,
        "10 of 30 requests for a, with weight 1/3 beside 2/3",
        f"{counts['a']} for a and {counts['b']} for b",
        "a weight is a float; rounding it, or repeating a server `weight` times, loses what is below one",
    )


@task.check(points=1)
def a_newcomer_gets_its_turn(Turns):
    """When a server joins in the middle of a round, the round goes on, and the newcomer is in it."""
    pool = pool_of(Turns, a=1, b=1, c=1)
    before = picks(pool, 4)
    pool.add(Backend("d"))
    after = picks(pool, 8)
    expect(
        after[0] != before[-1],
        f"that {before[-1]}, which has just had a request, is not picked again at once",
        f"{' '.join(before)}, then d joined, then {' '.join(after)}",
        "a count of all requests modulo the number of servers jumps when that number changes",
        Steps([*before, "b", "c", "d", "a"], [*before, *after[:4]]),
    )
    expect(
        all(1 <= Counter(after)[name] <= 3 for name in "abcd"),
        "about two requests for each of the four servers in the eight after the join",
        " ".join(after),
        "each pick gets the servers that there are now: look at `backends`, not at an older copy",
    )


@task.check(points=1)
def changes_do_not_start_it_over(Turns):
    """Servers that come and go all the time do not send everything to the first one."""
    pool = pool_of(Turns, a=1, b=1, c=1, d=1)
    got = []
    for _ in range(30):
        got += picks(pool, 1)
        pool.set_weight("d", 0)  # out of service
        got += picks(pool, 1)
        pool.set_weight("d", 1)
    counts = Counter(got)
    expect(
        min(counts[name] for name in "abc") >= 6,
        "requests for each of a, b and c, while d comes and goes 30 times",
        ", ".join(f"{name}: {counts[name]}" for name in "abcd"),
        "keep what you know of the servers that stay; a schedule made anew begins at its first place again",
    )


@task.check(points=1)
def two_balancers_share_nothing(Turns):
    """Two balancers in one process do not take each other's turns."""
    pools = [pool_of(Turns, a=1, b=1), pool_of(Turns, a=1, b=1)]
    got = ["".join(picks(pool, 1)[0] for pool in pools) for _ in range(4)]
    expect(
        got in (["aa", "bb"] * 2, ["bb", "aa"] * 2),
        "the same picks from both, asked by turns: aa bb aa bb",
        " ".join(got),
        "what is set in the class body, or global, is shared by all instances: set it in __init__",
    )


@task.check(points=1)
def any_history(Turns):
    """Whatever happens to the pool, it picks one of the servers that may be picked."""
    in_any_history(Turns)


@task.check(points=2, hidden=True)
def long_runs_stay_exact(Turns):
    """Over 10,000 requests with weights such as 0.1, no server is more than a request from its share."""
    weights = {"a": 0.1, "b": 0.7, "c": 1.3, "d": 2.9}
    counts = Counter(picks(pool_of(Turns, **weights), 10_000))
    total = sum(weights.values())
    for name, weight in weights.items():
        expect(
            abs(counts[name] - 10_000 * weight / total) < 1.5,
            f"{10_000 * weight / total:.0f} of 10,000 requests for {name}",
            f"{counts[name]}",
        )

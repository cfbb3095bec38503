"""Checks of the lab "Windows"."""

import random
from collections import deque
from itertools import accumulate

from lbkit.core.laws import busiest_window, denials_change_nothing
from lbkit.course import Task, Times, expect, seconds_each

task = Task(
    title="Windows",
    module="windows",
    defines=("SlidingWindow",),
    minutes=45,
    difficulty=2,
    before="notebook 07, up to windows",
)


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def play(SlidingWindow, moments, limit=5, window=1.0):
    """Ask at these moments, in seconds after the beginning; return those at which a request was admitted."""
    clock = Clock()
    begun, limiter = clock.now, SlidingWindow(limit, window, clock)
    admitted = []
    for moment in moments:
        clock.now = begun + moment
        if limiter.allow("ann"):
            admitted.append(moment)
    return admitted


@task.check(points=2)
def the_limit_and_no_more(SlidingWindow):
    """With a limit of 5, five requests are admitted at once, and not a sixth."""
    for limit in (1, 5):
        got = len(play(SlidingWindow, [0.0] * 9, limit=limit))
        expect(
            got == limit,
            f"{limit} of 9 requests admitted at the same moment, with a limit of {limit}",
            f"{got} admitted",
            "when you compare, has this request been counted already or not?",
        )


@task.check(points=2)
def no_stretch_of_time_has_more(SlidingWindow):
    """In no second, wherever it begins, are more than the limit admitted."""
    asked = [0.6 + i * 0.01 for i in range(5)] + [1.1 + i * 0.01 for i in range(5)]
    admitted = play(SlidingWindow, [0.0, *asked])
    begin, count = busiest_window(admitted, 1.0)
    expect(
        count <= 5,
        f"at most 5 admitted in the second that begins at {begin:g} s",
        f"{count} admitted in it",
        "a count that begins anew at each full second lets twice the limit through around it",
        Times({"asked": [0.0, *asked], "admitted": admitted}, 2.0, (begin, begin + 1)),
    )


@task.check(points=2)
def places_come_back_one_by_one(SlidingWindow):
    """A second after each admitted request there is room for one more, and not for all five."""
    first = [0.0, 0.2, 0.4, 0.6, 0.8]
    for after, due in ((0.95, 0), (1.0, 1), (1.25, 2), (1.65, 4)):
        got = len(play(SlidingWindow, [*first, *[after] * 6])) - 5
        expect(
            got == due,
            f"{due} admitted at {after:g} s: of the five at 0, 0.2, 0.4, 0.6 and 0.8 s, {due} are a second old",
            f"{got} admitted",
            "which of the earlier requests lie within the last second, counted from now?",
            Times({"admitted before": first, "asked": [after] * 6}, 2.0, (max(0.0, after - 1), after)),
        )


@task.check(points=2)
def denied_requests_do_not_count(SlidingWindow):
    """A client that asks far too often still gets its limit in every second."""
    asked = [i * 0.01 for i in range(1000)]
    admitted = play(SlidingWindow, asked)
    expect(
        45 <= len(admitted) <= 55,
        "about 50 admitted in 10 seconds, with a limit of 5 a second and 100 asked a second",
        f"{len(admitted)} admitted",
        "what has been denied has used nothing up: note admitted requests only",
        Times({"admitted": admitted}, 10.0),
    )


@task.check(points=1)
def clients_do_not_disturb_each_other(SlidingWindow):
    """Each client has a limit of its own."""
    limiter = SlidingWindow(5, 1.0, Clock())
    ann = sum(limiter.allow("ann") for _ in range(9))
    bob = sum(limiter.allow("bob") for _ in range(9))
    expect(
        (ann, bob) == (5, 5),
        "5 admitted for ann, and then 5 for bob",
        f"{ann} and {bob}",
        "is there one record for all clients, or one for each?",
    )


def things_in(thing, seen=None):
    """Count the numbers, texts and containers that an object holds, at any depth."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, Clock) or callable(thing):
        return 0
    seen.add(id(thing))
    if isinstance(thing, dict):
        inside = [*thing.keys(), *thing.values()]
    elif isinstance(thing, list | tuple | set | frozenset | deque):
        inside = list(thing)
    elif hasattr(thing, "__len__") and hasattr(thing, "__iter__") and not isinstance(thing, str | bytes):
        return 1 + len(thing)
    else:
        inside = list(vars(thing).values()) if hasattr(thing, "__dict__") else []
    return 1 + sum(things_in(each, seen) for each in inside)


@task.check(points=2)
def a_busy_client_needs_little_memory(SlidingWindow):
    """After 20,000 requests of one client it remembers no more than the last window needs."""
    clock = Clock()
    limiter = SlidingWindow(5, 1.0, clock)
    for _ in range(20_000):
        clock.now += 0.05
        limiter.allow("ann")
    held = things_in(limiter)
    expect(
        held < 100,
        "fewer than 100 things remembered, with a limit of 5",
        f"{held}",
        "times that are older than the window never matter again",
    )


@task.check(points=2, seconds=8.0)
def silent_clients_are_forgotten(SlidingWindow):
    """Clients that have been silent for long do not stay in memory, or an attacker fills it."""
    clock = Clock()
    limiter = SlidingWindow(5, 1.0, clock)
    for number in range(20_000):
        clock.now += 0.001
        limiter.allow(f"client {number}")
    clock.now += 60
    for _ in range(100):
        clock.now += 0.1
        limiter.allow("ann")
    held = things_in(limiter)
    expect(
        held < 10_000,
        "fewer than 10,000 things remembered a minute after the last of 20,000 clients",
        f"{held}",
        "look through the table now and then, such as once in a window: which clients have no time within it?",
    )
    limiter, clock.now = SlidingWindow(5, 1.0, clock), clock.now + 10
    got = 0
    for number in range(1000):
        got += limiter.allow("ann")
        limiter.allow(f"client {number}")
    expect(
        got == 5,
        "5 admitted for ann at one moment, whatever other clients come in between",
        f"{got}",
        "forget only clients without a request within the last window",
    )


def time_of_a_request(SlidingWindow, clients):
    """Seconds of processor time for a request, when so many clients have been admitted within the window."""
    clock = Clock()
    limiter = SlidingWindow(5, 1.0, clock)
    clock.now += 1.5
    for number in range(clients):
        limiter.allow(f"client {number}")

    def ask(number):
        clock.now += 1e-5
        limiter.allow("ann")

    return seconds_each(ask, range(40))


@task.check(points=1)
def a_request_does_not_look_at_all_clients(SlidingWindow):
    """With three hundred times as many clients, a request takes about as long as before."""
    few, many = (time_of_a_request(SlidingWindow, clients) for clients in (10, 3000))
    expect(
        many < 8 * few,
        "that a request takes about as long with 3000 clients as with 10",
        "it takes more than 8 times as long",
        "forget the silent clients once in a window, not at each request: when is the next time due?",
    )


@task.check(points=1, hidden=True)
def denials_on_random_days(SlidingWindow):
    """On random traffic, one that asks again after each denial gets no less, and no more."""
    for seed in range(10):
        rng = random.Random(seed)
        times = list(accumulate(rng.expovariate(6) for _ in range(200)))

        def make():
            clock = Clock()
            limiter = SlidingWindow(3, 1.0, clock)

            def ask(now):
                clock.now = 1000.0 + now
                return limiter.allow("ann")

            return ask

        denials_change_nothing(make, times)


@task.check(points=3, hidden=True)
def exactly_as_a_plain_account(SlidingWindow):
    """On random traffic it decides as a list of all admitted requests would."""
    for seed in range(20):
        rng = random.Random(seed)
        clock, plain = Clock(), []
        limiter = SlidingWindow(7, 2.0, clock)
        for _ in range(300):
            clock.now += rng.expovariate(6)
            due = sum(t > clock.now - 2.0 for t in plain) < 7
            got = limiter.allow("ann")
            expect(bool(got) is due, f"{due}", f"{got}")
            if got:
                plain.append(clock.now)

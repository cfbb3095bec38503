"""Checks of the lab "The bucket, mended"."""

import random
import sys
import threading
import time
from itertools import accumulate
from math import nan

from lbkit.core.laws import burst_of, denials_change_nothing
from lbkit.course import Task, Times, Wrong, expect

task = Task(
    title="The bucket, mended",
    module="the_bucket_mended",
    defines=("TokenBucket",),
    minutes=60,
    difficulty=2,
    before="notebook 07, up to the token bucket",
)


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now


def bucket_of(TokenBucket, rate=10, capacity=5):
    clock = Clock()
    return TokenBucket(rate, capacity, clock), clock


def taken(bucket, most=1000):
    """How many requests in a row are admitted at this moment."""
    return next((n for n in range(most) if not bucket.allow()), most)


@task.check(points=1)
def it_begins_full(TokenBucket):
    """A new bucket of capacity 5 admits five requests at once, and not a sixth."""
    bucket, _ = bucket_of(TokenBucket)
    got = taken(bucket)
    expect(got == 5, "5 admitted at the first moment", f"{got} admitted", "does a request pay when it is admitted?")


@task.check(points=2)
def it_refills_at_its_rate(TokenBucket):
    """An empty bucket of rate 10 gets ten tokens a second, fractions of tokens included."""
    bucket, clock = bucket_of(TokenBucket)
    for _ in range(5):
        bucket.allow()
    for look, due in enumerate((2, 3, 2, 3, 2, 3), 1):
        clock.now += 0.25
        got = sum(bucket.allow() for _ in range(due))
        expect(
            got == due,
            f"{due} of {due} requests admitted, {look * 0.25:g} s after it was empty",
            f"{got} admitted",
            "2.5 tokens arrive in a quarter of a second at a rate of 10: the half counts, too, the next time",
        )
    expect(
        not bucket.allow(),
        "that the 16th request in 1.5 seconds is denied, at a rate of 10",
        "it was admitted",
        "tokens arrive in proportion to the seconds since you last looked",
    )


@task.check(points=2)
def silence_fills_it_to_the_brim_only(TokenBucket):
    """After an hour without requests it admits its capacity, not an hour's worth of tokens."""
    bucket, clock = bucket_of(TokenBucket)
    taken(bucket)
    clock.now += 3600
    got = taken(bucket)
    expect(
        got == 5,
        "5 admitted after an hour of silence: the capacity",
        f"{got} or more admitted" if got == 1000 else f"{got} admitted",
        "what does not fit into a bucket runs over",
    )


@task.check(points=2)
def a_denial_costs_nothing(TokenBucket):
    """Requests that are denied take nothing from those that come later."""
    bucket, clock = bucket_of(TokenBucket, rate=10, capacity=1)
    begun, admitted = clock.now, []
    for step in range(1, 401):
        clock.now = begun + step * 0.01
        if bucket.allow():
            admitted.append(step * 0.01)
    expect(
        39 <= len(admitted) <= 41,
        "about 40 admitted in 4 seconds at a rate of 10, for a client that asks 100 times a second",
        f"{len(admitted)} admitted",
        "look at every line that runs before you know the answer: what does it change if the answer is no?",
        Times({"admitted": admitted}, 4.0),
    )
    bucket, clock = bucket_of(TokenBucket)
    for _ in range(3):
        bucket.allow()
    bucket.allow(4)  # too much for the two tokens that are left
    expect(
        bucket.allow(2),
        "that a request of cost 2 is admitted with 2 tokens left, after one of cost 4 was denied",
        "it was denied",
        "a denied request must leave the tokens as they were",
    )


@task.check(points=1)
def its_clock_decides(TokenBucket):
    """It asks the clock that it was given, and no other."""
    bucket, clock = bucket_of(TokenBucket, rate=1000, capacity=1)
    bucket.allow()
    time.sleep(0.02)
    expect(
        not bucket.allow(),
        "that the second request is denied: the clock that it was given stands still",
        "it was admitted",
        "`time.time()` and `time.monotonic()` go on by themselves; call `self.clock()`",
    )
    clock.now += 1.0
    expect(bucket.allow(), "that a request is admitted a second later by its clock", "it was denied", "call `self.clock()`")


@task.check(points=2)
def a_clock_that_is_set_back_does_no_harm(TokenBucket):
    """A clock that is set back an hour neither empties the bucket nor fills it."""
    bucket, clock = bucket_of(TokenBucket)
    bucket.allow()
    clock.now -= 3600
    got = sum(bucket.allow() for _ in range(4))
    expect(
        got == 4,
        "the 4 tokens that were left, right after the clock was set back by an hour",
        f"{got} admitted",
        "the seconds since the last look can be negative",
    )
    clock.now += 0.5
    got = taken(bucket)
    expect(
        got == 5,
        "5 requests admitted half a second later, at a rate of 10",
        f"{got} admitted",
        "go on counting from the time that the clock shows now; do not wait until it has caught up",
    )


@task.check(points=1)
def impossible_costs_are_errors(TokenBucket):
    """A cost of zero is free; one that is negative, no number, or above the capacity is a ValueError."""
    bucket, _ = bucket_of(TokenBucket)
    expect(bucket.allow(0) is True, "that a request of cost 0 is admitted", "it was not")
    for cost in (-1, 6, nan):
        try:
            said = f"allow({cost}) returned {bucket.allow(cost)}"
        except ValueError:
            continue
        raise Wrong(
            f"a ValueError for a cost of {cost}, with a capacity of 5",
            said,
            "a negative cost would fill the bucket; one above the capacity would be denied for ever; nan is "
            "neither below nor above anything",
        )
    got = taken(bucket)
    expect(got == 5, "5 tokens, as before: errors cost nothing", f"{got}")


class Gate:
    """Holds a thread back for a moment, until another one is at the same place."""

    def __init__(self):
        self.barrier = threading.Barrier(2)

    def wait(self):
        try:
            self.barrier.wait(0.05)
        except threading.BrokenBarrierError:
            pass  # the other one does not come: it waits for a lock, as it should


class SlowCost(float):
    """A cost of 1 that takes its time when it is compared or subtracted."""

    gate = Gate()

    def _held(name):
        def operation(self, other):
            self.gate.wait()
            return getattr(float, name)(1.0, other)

        return operation

    __le__, __lt__, __ge__, __gt__ = map(_held, ("__le__", "__lt__", "__ge__", "__gt__"))
    __rsub__ = _held("__rsub__")


class SlowClock(Clock):
    def __init__(self):
        super().__init__()
        self.gate = None

    def __call__(self):
        if self.gate:
            self.gate.wait()
        return self.now


def both(bucket, *costs):
    """Ask from two threads at once; return how many were admitted."""
    answers = []
    threads = [threading.Thread(target=lambda c=cost: answers.append(bucket.allow(c))) for cost in costs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(answers)


@task.check(points=2, seconds=8.0)
def two_threads_share_one_bucket(TokenBucket):
    """Two threads that ask at the same moment cannot both have the last token."""
    hint = "between the check and the subtraction another thread may check, too: a lock makes one step of the two"
    for place in ("clock", "comparison"):
        clock = SlowClock()
        bucket = TokenBucket(1e-9, 1, clock)
        if place == "clock":
            clock.gate, cost = Gate(), 1
        else:
            SlowCost.gate, cost = Gate(), SlowCost(1)
        got = both(bucket, cost, cost)
        expect(got == 1, "1 of 2 requests admitted, with one token, from two threads at once", f"{got} admitted", hint)
    crowd = TokenBucket(1e-9, 2000, Clock())
    admitted, interval = [], sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        ask = lambda: admitted.append(sum(crowd.allow() for _ in range(1000)))  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    expect(sum(admitted) == 2000, "2000 of 4000 requests admitted, from four threads", f"{sum(admitted)}", hint)


@task.check(points=2, hidden=True)
def never_more_than_burst_and_rate(TokenBucket):
    """In any stretch of t seconds at most capacity + rate x t is admitted, and a greedy client gets that."""
    for seed in range(10):
        rng = random.Random(seed)
        rate, capacity = rng.choice((0.5, 3, 10)), rng.choice((1, 4, 7.5))
        bucket, clock = bucket_of(TokenBucket, rate, capacity)
        admitted = []
        for _ in range(300):
            clock.now += rng.expovariate(2 * rate)
            cost = min(capacity, rng.choice((0.5, 1, 1, 2)))
            if bucket.allow(cost):
                admitted.append((clock.now, cost))
        burst = burst_of(admitted, rate)
        expect(burst <= capacity + 1e-6, f"no more than {capacity} + {rate} x t in t seconds", f"{burst} + {rate} x t")
        greedy, clock = bucket_of(TokenBucket, rate, capacity)
        begun, got = clock.now, 0
        for step in range(1000):
            clock.now = begun + step / (10 * rate)
            got += greedy.allow()
        expect(got >= 100, "all that is due", f"{got}")


@task.check(points=1, hidden=True)
def denials_on_random_days(TokenBucket):
    """On random traffic, one that asks again after each denial gets no less, and no more."""
    for seed in range(10):
        rng = random.Random(seed)
        times = list(accumulate(rng.expovariate(6) for _ in range(200)))

        def make():
            bucket, clock = bucket_of(TokenBucket, rate=3, capacity=4)

            def ask(now):
                clock.now = 1000.0 + now
                return bucket.allow()

            return ask

        denials_change_nothing(make, times)

"""Checks of the lab "Count what runs"."""

import random
from collections import Counter

from lbkit.core import Backend
from lbkit.course import Task, expect, in_any_history

task = Task(
    title="Count what runs",
    module="count_what_runs",
    defines=("FewestRunning",),
    minutes=45,
    difficulty=1,
    before="notebook 03, up to least connections",
)


class Desk:
    """A balancer and its servers, which do not tell how busy they are: the learner's code has to count.

    `running` is the plain account: the numbers of requests that have begun and not ended."""

    def __init__(self, FewestRunning, names="abc"):
        self.backends = tuple(Backend(name) for name in names)
        self.balancer = FewestRunning()
        self.balancer.rebuild(self.backends)
        self.running = Counter()

    def begin(self, count=1):
        """Requests come; return the names of the servers that get them."""
        names = []
        for _ in range(count):
            chosen = self.balancer.pick(self.backends, "", 0.0)
            expect(
                chosen in self.backends,
                "one of the backends",
                f"pick returned {chosen!r}",
                "every way through `pick` has to end in `return`",
            )
            self.running[chosen.name] += 1
            names.append(chosen.name)
        return names

    def end(self, name, ok=True):
        """A request at this server ends."""
        backend = next(b for b in self.backends if b.name == name)
        self.balancer.done(backend, 0.01, ok, 0.0)
        self.running[name] -= 1

    def change(self, backends):
        self.backends = tuple(backends)
        self.balancer.rebuild(self.backends)

    def said(self):
        return ", ".join(f"{b.name} has {self.running[b.name]}" for b in self.backends)


def end_like(FewestRunning, ok):
    """End both requests of `a` in this way; return the servers that get the next two."""
    desk = Desk(FewestRunning)
    desk.begin(6)
    for _ in range(2):
        desk.end("a", ok)
    said = desk.said()
    return said, desk.begin(2)


@task.check(points=2)
def the_least_busy_server_is_next(FewestRunning):
    """While no request ends, all servers have equally many, give or take one."""
    desk = Desk(FewestRunning)
    for count in range(1, 10):
        desk.begin()
        most, least = (f(desk.running[name] for name in "abc") for f in (max, min))
        expect(
            most - least <= 1,
            f"that {count} requests, all still running, are spread evenly over a, b and c",
            desk.said(),
            "count a request when you pick a server for it, and pick where the count is lowest",
        )


@task.check(points=2)
def an_answer_gives_its_place_back(FewestRunning):
    """A server that has answered is less busy, and is picked again."""
    said, names = end_like(FewestRunning, True)
    expect(
        names == ["a", "a"],
        f"that the next two requests go to a: {said}",
        " and ".join(names),
        "`done` is called for every request that ends: what has to change there?",
    )


@task.check(points=2)
def a_failure_gives_its_place_back(FewestRunning):
    """A request that fails, or whose client goes away, does not run any more either."""
    for ok, how in ((False, "failed"), (None, "lost their clients")):
        said, names = end_like(FewestRunning, ok)
        expect(
            names == ["a", "a"],
            f"that the next two requests go to a, where two requests {how}: {said}",
            " and ".join(names),
            f"`done` is called with ok={ok} then: the request has ended all the same",
        )


@task.check(points=2)
def idle_servers_share_the_work(FewestRunning):
    """If each request ends before the next one comes, all servers still get some."""
    desk = Desk(FewestRunning)
    counts = Counter()
    for _ in range(300):
        (name,) = desk.begin()
        counts[name] += 1
        desk.end(name)
    expect(
        min(counts[name] for name in "abc") >= 50,
        "about 100 of 300 requests for each of three idle servers",
        ", ".join(f"{name}: {counts[name]}" for name in "abc"),
        "`min` returns the first of those that are equal: which of the equals should be next?",
    )


@task.check(points=1)
def counts_never_fall_below_zero(FewestRunning):
    """An end without a beginning, as of a request from before a restart, does no harm."""
    desk = Desk(FewestRunning)
    for _ in range(4):
        desk.end("a")
    desk.running.clear()
    names = desk.begin(6)
    expect(
        Counter(names) == dict.fromkeys("abc", 2),
        "two of six running requests for each server, after four ends at a that had no beginning",
        " ".join(names),
        "a count of -4 looks less busy than an idle server",
    )


@task.check(points=2)
def a_change_of_the_pool_keeps_the_counts(FewestRunning):
    """When a server joins or leaves, the others are as busy as before."""
    desk = Desk(FewestRunning)
    desk.begin(6)
    a, b, c = desk.backends
    desk.change([a, b, c, Backend("d")])
    names = desk.begin(2)
    expect(
        names == ["d", "d"],
        "that the newcomer d gets the next two: the others have two requests each",
        " and ".join(names),
        "a server that you have never seen has no requests; the others have not lost theirs",
    )
    desk.change([a, b, desk.backends[3]])
    desk.balancer.done(c, 0.01, True, 0.0)  # of one that has left
    names = desk.begin(3)
    expect(
        Counter(names) == dict.fromkeys("abd", 1),
        "one request for each of a, b and d, which have two each; c has left, and one of its requests ended",
        " ".join(names),
        "requests of a server that has left end, too",
    )


@task.check(points=1, seconds=4.0)
def a_thousand_servers_are_no_problem(FewestRunning):
    """With 1,000 servers and 2,000 running requests, a pick looks at each server once or so."""
    desk = Desk(FewestRunning, [f"s{i}" for i in range(1000)])
    desk.begin(2000)


@task.check(points=1)
def any_history(FewestRunning):
    """Whatever happens to the pool, it picks one of the servers that may be picked."""
    in_any_history(FewestRunning)


@task.check(points=3, hidden=True)
def always_a_least_busy_one(FewestRunning):
    """In any order of beginnings and ends, the server that is picked has the fewest."""
    for seed in range(20):
        rng = random.Random(seed)
        desk = Desk(FewestRunning, "abcde")
        for _ in range(200):
            if rng.random() < 0.45 and (busy := sorted(desk.running.elements())):
                desk.end(rng.choice(busy), rng.choice((True, False, None)))
                continue
            fewest = min(desk.running[b.name] for b in desk.backends)
            (name,) = desk.begin()
            expect(desk.running[name] - 1 == fewest, f"a server with {fewest} requests", desk.said())

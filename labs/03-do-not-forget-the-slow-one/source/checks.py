"""Checks of the lab "Do not forget the slow one"."""

from collections import Counter

from lbkit import Constant, Event, Experiment, Exponential, Server, Traffic, run, servers
from lbkit.core import Backend, Pool
from lbkit.course import Shares, Task, expect, in_any_history

task = Task(
    title="Do not forget the slow one",
    module="explorer",
    defines=("Explorer",),
    minutes=60,
    difficulty=2,
    before="notebook 03, up to least response time; lab 02",
)

FOUR = servers(4, workers=4, service=Exponential(0.05))  # s1 to s4
SEEDS = (1, 2, 3)


def runs(Explorer, *events, load, duration, pool=FOUR):
    """Run the simulator once for each seed."""
    experiment = Experiment(pool, Traffic(duration=duration), policy=Explorer, events=events).at_load(load)
    return [run(experiment.but(seed=seed)) for seed in SEEDS]


def shares(result, since, until):
    """The share of each server in the requests that arrived in these seconds."""
    names = [server.name for server in result.experiment.servers]
    rows = [b for at, b in zip(result.arrival, result.backend, strict=True) if since <= at < until]
    return {name: round(rows.count(i) / len(rows), 3) for i, name in enumerate(names)}


class Desk:
    """A balancer and its servers, without a network: requests take as long as we say."""

    def __init__(self, Explorer, names):
        self.pool = Pool([Backend(name) for name in names], Explorer())
        self.now = 0.0

    def teach(self, name, latency, ok=True, count=20):
        """So many requests go to this server, one after the other, and end like this."""
        for backend in self.pool.backends:
            self.pool.set_health(backend.name, backend.name == name)
        for _ in range(count):
            lease = self.pool.acquire("", self.now)
            self.now += latency
            lease.release(ok, self.now)
        for backend in self.pool.backends:
            self.pool.set_health(backend.name, True)

    def burst(self, count):
        """So many requests come at once; return how many each server gets. None of them ends."""
        return Counter(self.pool.acquire("", self.now).backend.name for _ in range(count))


def said(counts, names):
    return ", ".join(f"{name}: {counts[name]}" for name in names)


@task.check(points=2)
def running_requests_count(Explorer):
    """A server that is busy takes longer: of two that are equally fast, both get a part of a burst."""
    desk = Desk(Explorer, "ab")
    for name in "ab":
        desk.teach(name, 0.05)
    counts = desk.burst(20)
    expect(
        min(counts["a"], counts["b"]) >= 6,
        "about 10 requests each, when 20 come at once and both servers have always answered in 50 ms",
        said(counts, "ab"),
        "a request waits for those before it: how long, if 5 are running and each takes 50 ms?",
        Shares({"a": 10, "b": 10}, {name: counts[name] for name in "ab"}),
    )


@task.check(points=2)
def the_faster_server_gets_more(Explorer):
    """A server that answers in a quarter of the time gets most of the requests, though neither is busy."""
    pair = [Server("slow", workers=8, service=Exponential(0.2)), Server("fast", workers=8)]
    for result in runs(Explorer, load=0.2, duration=10.0, pool=pair):
        got = shares(result, 1.0, 10.0)
        expect(
            got["fast"] > 0.88,
            "more than 88 % of the requests at the server that answers in 50 ms, and not in 200",
            f"it got {got['fast']:.0%}",
            "remember for each server how long its answers took: `done` is told `latency`, in seconds",
        )


@task.check(points=3)
def a_server_that_becomes_slow_is_avoided(Explorer):
    """Two seconds after a server has dropped to a tenth of its speed, it gets less than a tenth of the requests."""
    for result in runs(Explorer, Event(10.0, "slow", "s1", 0.1), load=0.4, duration=20.0):
        before, after = shares(result, 2.0, 10.0), shares(result, 12.0, 20.0)
        expect(
            after["s1"] < 0.1,
            "less than 10 % of the requests at s1, one of four servers, from two seconds after it became slow",
            f"it got {after['s1']:.1%}, and {before['s1']:.0%} before",
            "how many answers does it take until your average has moved, and how often do you ask a server of "
            "which you know that it is slow?",
            Shares(before, after, ("before", "after")),
        )


@task.check(points=3)
def a_server_that_is_well_again_comes_back(Explorer):
    """At a load of 0.2, where the others could do it all, a server that was slow gets its part again."""
    events = Event(5.0, "slow", "s1", 0.1), Event(15.0, "recover", "s1")
    for result in runs(Explorer, *events, load=0.2, duration=60.0):
        ill, well = shares(result, 7.0, 15.0), shares(result, 35.0, 60.0)
        expect(
            well["s1"] > 0.1,
            "more than 10 % of the requests at s1 from 20 seconds after it is as fast again as the other three",
            f"it got {well['s1']:.1%}",
            "you learn of its recovery only if you ask it again: how often do you, when its average is the worst? "
            "And do old answers count less and less, so that new ones can move the average?",
            Shares(ill, well, ("while slow", "when well")),
        )


def with_newcomer(Explorer):
    """A desk with three servers that are known and busy, and a newcomer `d`."""
    desk = Desk(Explorer, "abc")
    for name in "abc":
        desk.teach(name, 0.05)
    desk.burst(6)
    desk.pool.add(Backend("d"))
    return desk


@task.check(points=3)
def a_newcomer_is_not_flooded(Explorer):
    """Until its first answer is back, a newcomer gets no more than a third of the requests."""
    counts = with_newcomer(Explorer).burst(12)
    expect(
        counts["d"] <= 4,
        "at most 4 of the next 12 requests at the newcomer d, which has not answered any yet",
        said(counts, "abcd"),
        "an average that you do not know is not 0: a product with 0 wins against any other",
        Shares({"a": 3, "b": 3, "c": 3, "d": 3}, {name: counts[name] for name in "abcd"}),
    )


@task.check(points=2)
def a_newcomer_gets_its_part(Explorer):
    """A newcomer is tried soon, and gets about as much as others once it has answered."""
    five = servers(5, workers=4, service=Exponential(0.05))
    for result in runs(Explorer, Event(3.0, "add", "s5"), load=0.4, duration=12.0, pool=five):
        got = shares(result, 5.0, 12.0)
        expect(
            got["s5"] > 0.08,
            "more than 8 % of the requests at the newcomer, one of five, from two seconds after it joined",
            f"it got {got['s5']:.1%}",
            "a server that gets no request stays unknown: it needs a first one",
            Shares(dict.fromkeys(got, 0.2), got),
        )


@task.check(points=3)
def a_failure_is_not_a_fast_answer(Explorer):
    """A server that begins to fail at once, all the time, gets less than its share."""
    for result in runs(Explorer, Event(5.0, "fail", "s1", 1.0), load=0.4, duration=15.0):
        got = shares(result, 7.0, 15.0)
        expect(
            got["s1"] < 0.2,
            "less than 20 % of the requests at s1, one of four, which answers each with an error within "
            "a millisecond",
            f"it got {got['s1']:.0%}",
            "an error takes no time, and nothing runs there for long: what is a failure worth to the one who "
            "waited for an answer? `ok` is False for it",
            Shares(dict.fromkeys(got, 0.25), got),
        )


@task.check(points=1)
def a_client_that_leaves_tells_nothing(Explorer):
    """A request whose client went away says nothing about how fast its server is."""
    usual = burst_after(Explorer)
    for latency, when in ((0.0001, "0.1 ms"), (5.0, "5 s")):
        counts = burst_after(Explorer, latency)
        expect(
            abs(counts["a"] - usual["a"]) <= 5,
            f"the same as without them ({said(usual, 'ab')}), when 20 requests come at once: both servers have "
            f"answered in 50 ms so far, and then 20 clients of a left, each after {when}",
            said(counts, "ab"),
            "`ok` is None then: neither a success nor a failure",
        )


def burst_after(Explorer, *impatient):
    """How many of 20 requests go to each of two equal servers, after clients of `a` left after this time."""
    desk = Desk(Explorer, "ab")
    for name in "ab":
        desk.teach(name, 0.05)
    for latency in impatient:
        desk.teach("a", latency, ok=None)
    return desk.burst(20)


@task.check(points=1)
def any_history(Explorer):
    """Whatever happens to the pool, it picks one of the servers that may be picked."""
    in_any_history(Explorer)


@task.check(points=3, hidden=True)
def a_server_that_failed_comes_back(Explorer):
    """A server that failed for a while, and is well again, gets its part again."""
    events = Event(5.0, "fail", "s1", 1.0), Event(10.0, "recover", "s1")
    for result in runs(Explorer, *events, load=0.4, duration=60.0):
        got = shares(result, 30.0, 60.0)
        expect(got["s1"] > 0.08, "more than 8 % at s1", f"{got['s1']:.1%}")


@task.check(points=2, hidden=True)
def a_newcomer_that_only_fails(Explorer):
    """A newcomer that has never answered well does not get more than its share either."""
    five = [*servers(4, service=Exponential(0.05)), Server("s5", error_rate=1.0)]
    for result in runs(Explorer, Event(3.0, "add", "s5"), load=0.4, duration=12.0, pool=five):
        got = shares(result, 4.0, 12.0)
        expect(got["s5"] < 0.25, "less than 25 % at s5", f"{got['s5']:.1%}")

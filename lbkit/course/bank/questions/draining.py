"""Questions on notebook 06: connection draining."""

from __future__ import annotations

from math import exp

from lbkit import (
    Backend,
    Event,
    Experiment,
    Exponential,
    Poisson,
    Policy,
    Pool,
    RollingDeploy,
    Traffic,
    make_balancer,
    run,
    servers,
)
from lbkit.core import Intent
from lbkit.core.drain import DrainRules
from lbkit.course.bank.question import Choice, Draw, Number, Option, Questions, bands

ask = Questions("06-draining")


@ask("claim-d3-sim")
def cut_by_the_timeout(draw: Draw) -> Number:
    mean, timeout = draw.choice([1, 2, 4]), draw.choice([2, 3, 4, 6])
    return Number(
        f"Requests take {mean} s on average, exponentially distributed. A server drains with a timeout of "
        f"{timeout} s. Which share of the requests that run there at that moment is cut?",
        100 * exp(-timeout / mean),
        "%",
        f"exp(−{timeout}/{mean}): what an exponential time has left does not depend on how long it has run.",
        {
            "a timeout above the mean is enough for all": 0.0,
            "half is done, so half of the time is enough": 50.0,
        },
    )


@ask("claim-d1-steps", what_if=True)
def picks_while_draining(draw: Draw) -> Number:
    count, running, more = draw.choice([2, 3]), draw.choice([4, 6]), draw.choice([12, 18])
    backends = [Backend(f"s{i}") for i in range(1, count + 1)]
    pool = Pool(backends, make_balancer("round_robin"), drain=DrainRules(timeout=30))
    for _ in range(running):
        pool.acquire("", 0.0)
    pool.set_intent("s1", Intent.DRAIN, now=1.0)
    for _ in range(more):
        pool.acquire("", 2.0)
    return Number(
        f"{running} requests run on {count} servers, in turns, when s1 is told to drain. {more} more come "
        "while nothing ends. How many requests are in flight at s1 then?",
        backends[0].in_flight,
        "requests",
        "Those that were there. A draining server gets nothing new, and loses nothing that runs.",
        {"draining stops what runs": 0.0, "turns go on while it drains": (running + more) / count},
        within=0.0,
    )


@ask("claim-d2-sim", what_if=True)
def restart_without_draining(draw: Draw) -> Choice:
    drains = draw.choice([True, False])
    policy = Policy("round_robin", retries=0, drain=DrainRules(timeout=20))
    shop = (
        Experiment(servers(5, workers=10, boot=0.5), policy=policy, seed=draw.randrange(50))
        .at_load(0.5)
        .but(duration=7)
    )
    result = run(shop.but(deploy=RollingDeploy(at=1, settle=0.25, drain=drains)))
    failed = sum(status >= 500 for status in result.status)
    how = "drained, and then replaced" if drains else "stopped and replaced, without draining"
    return Choice(
        f"Five servers with thousands of requests are {how}, one after the other. Load 50 %, no retries. How "
        "many requests fail?",
        (
            Option(
                "none", failed == 0, "four servers have room for the work of the fifth, so nothing is lost"
            ),
            Option("some hundred", failed > 20, "a deploy always costs some requests"),
        ),
        f"{failed} of {len(result):,}. Room for new requests does not help those that are running.",
    )


@ask("claim-d3-scaling", what_if=True)
def load_of_the_others(draw: Draw) -> Number:
    count, load = draw.choice([3, 4, 5, 6]), draw.choice([0.5, 0.6])
    rate = load * Experiment(servers(count)).capacity
    rest = rate / Experiment(servers(count - 1)).capacity
    return Number(
        f"{count} equal servers are at a load of {load:.0%}. One drains for an update. What is the load of "
        "the others?",
        100 * rest,
        "%",
        f"{load:.0%} × {count} / {count - 1}. A deploy needs room for one server more.",
        {"a drain takes load away": 100 * load * (count - 1) / count, "load stays as it was": 100 * load},
    )


@ask("claim-d3-never", what_if=True)
def open_channel(draw: Draw) -> Choice:
    timeout, later = draw.choice([10, 30, 60]), draw.choice([5, 100])
    first = Backend("s1")
    pool = Pool([first, Backend("s2")], make_balancer("first_available"), drain=DrainRules(timeout=timeout))
    pool.acquire("chat", 0.0)
    pool.set_intent("s1", Intent.DRAIN, now=0.0)
    pool.drains.advance(float(later))
    state = pool.drains.state("s1").value
    return Choice(
        f"A WebSocket is open at a server that begins to drain, with a timeout of {timeout} s. The user "
        f"keeps it open. What is the server's state after {later} s?",
        tuple(
            Option(name, state == name, thinks)
            for name, thinks in (
                ("draining", "a server drains until its last connection has ended, however long that takes"),
                ("drained", "long-lived connections do not count"),
                ("ready", "a drain is given up where it cannot end"),
            )
        ),
        "Nothing ends a channel that both sides keep open; only the timeout does, and the client connects "
        "again elsewhere.",
    )


@ask("stage-check", what_if=True)
def stopped_or_asked(draw: Draw) -> Choice:
    drains = draw.choice([True, False])
    policy = Policy("least_connections", retries=0, drain=DrainRules(timeout=20))
    leave = [Event(4, "drain", "s1")] if drains else [Event(4, "crash", "s1")]
    fleet = servers(3, workers=20, service=Exponential(0.5))
    traffic = Traffic(Poisson(40), duration=8)
    base = Experiment(fleet, traffic, policy, leave, seed=draw.randrange(50))
    lost = sum(s >= 500 for s in run(base).where(arrival=lambda t: t < 4).status)
    what = "asked to drain" if drains else "killed"
    return Choice(
        f"A server with about seven running requests is {what}. How many of these requests fail?",
        bands(
            float(lost),
            [
                ("none", 0, 1, "the balancer finishes what a killed server has begun"),
                ("some", 1, 1000, "a server that leaves always takes some requests along"),
            ],
        ),
        f"{lost}. What has reached a server lives and dies with it, unless it is left to finish.",
    )

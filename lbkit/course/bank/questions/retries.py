"""Questions on notebook 07b: retries, breakers, hedges, queues."""

from __future__ import annotations

import random
from math import exp

from lbkit import (
    Admission,
    Backend,
    Backoff,
    Constant,
    Event,
    Experiment,
    Exponential,
    Patience,
    Poisson,
    Policy,
    Retry,
    RetryBudgetRules,
    Server,
    Traffic,
    run,
    servers,
)
from lbkit.core.attempts import AttemptPolicy, Attempts, Failure, GiveUp
from lbkit.course.bank.question import Choice, Draw, Number, Option, Questions, bands, extreme, times

ask = Questions("07b-retries-and-breakers")


@ask("claim-retry-safety")
def post_again(draw: Draw) -> Choice:
    failures = {
        Failure.REFUSED: ("the connection was refused", "a POST is never sent twice"),
        Failure.CLOSED_UNANSWERED: (
            "the connection was closed before any answer",
            "without an answer, nothing was done",
        ),
        Failure.TIMEOUT: ("no answer came in time", "what takes too long has not happened"),
    }
    retries = draw.choice([1, 2, 3])

    def again(failure: Failure) -> bool:
        attempts = Attempts(AttemptPolicy(retries=retries), safe=False)
        return not isinstance(attempts.after(failure, Backend("s1")), GiveUp)

    return Choice(
        f"A proxy may try {retries + 1} servers for a request. In which case may it send a POST, an order, "
        "to the next one?",
        tuple(Option(text, again(failure), thinks) for failure, (text, thinks) in failures.items()),
        "Only if it is certain that the first server has not seen it. Otherwise there may be two orders.",
    )


@ask("claim-retry-budget", what_if=True)
def load_when_all_fail(draw: Draw) -> Number:
    retries, ratio = draw.choice([2, 3]), draw.choice([None, 0.1, 0.25, 0.5])
    budget = None if ratio is None else RetryBudgetRules(ratio=ratio, window=10, minimum=0)
    fleet = [Server(f"s{i}", service=Constant(0.02), error_rate=1.0) for i in range(5)]
    policy = Policy("round_robin", retries=retries, retry=Retry(statuses=(500,), budget=budget))
    result = run(Experiment(fleet, policy=policy, seed=draw.randrange(50)).but(duration=30).at_load(0.2))
    limit = "no retry budget" if ratio is None else f"a retry budget of {ratio:.0%} of the requests"
    return Number(
        f"A proxy tries a failed request up to {retries} more times, with {limit}. All servers fail every "
        "request. How many attempts do they get for each request?",
        sum(result.attempts) / len(result),
        "attempts",
        "Retries help while few requests fail, and multiply the load when all do; a budget caps them.",
        {"each request reaches the servers once": 1.0}
        | (
            {"a budget counts per request": 1.0 + retries}
            if ratio
            else {"only the retries count": float(retries)}
        ),
    )


@ask("claim-storm-load")
def load_of_the_storm(draw: Draw) -> Number:
    clicks = draw.choice([1, 2, 3, 4])
    return Number(
        f"People who get no answer in time click again, at most {times(clicks)}. Up to which load does a "
        "system recover by itself once a fault is over, and the queue is long?",
        100 / (1 + clicks),
        "% of the capacity",
        f"While answers come too late, each request is sent {times(1 + clicks)}. All of these together "
        "have to be less than the capacity.",
        {
            "it recovers as long as it is below its capacity": 100.0,
            "one click doubles, further ones do not": 100 / clicks,
        }
        if clicks not in (1, 2)
        else {"it recovers as long as it is below its capacity": 100.0},
    )


@ask("claim-retry-storm", what_if=True)
def when_the_cause_is_gone(draw: Draw) -> Choice:
    clicks, load = draw.choice([(3, 0.6), (3, 0.15), (1, 0.4), (1, 0.7)])
    fleet = servers(4, service=Constant(0.05))
    slow = [Event(5, "slow", server.name, 0.1) for server in fleet]
    fast = [Event(8, "recover", server.name) for server in fleet]
    traffic = Traffic(duration=45, patience=Patience(timeout=0.5, retries=clicks))
    result = run(
        Experiment(fleet, traffic, "least_connections", [*slow, *fast], seed=draw.randrange(50)).at_load(load)
    )
    good = 1 - result.where(arrival=lambda t: t >= 35).error_rate
    return Choice(
        f"Servers at a load of {load:.0%} are ten times slower for three seconds. Users give up after half a "
        f"second and click again, at most {times(clicks)}. Half a minute after the fault, which share of the "
        "requests succeeds?",
        bands(
            good,
            [
                ("none", 0.0, 0.1, "a queue that has formed never gets shorter"),
                ("some", 0.1, 0.9, "a system in trouble settles half way"),
                ("all", 0.9, 1.01, "when the cause is gone, the system recovers"),
            ],
        ),
        f"{good:.0%}. Load × {1 + clicks} is {load * (1 + clicks):.0%} of the capacity: above 100 %, the "
        "repeated requests keep the storm alive.",
    )


@ask("claim-jitter")
def pause_before_retry(draw: Draw) -> Number:
    base, cap, retry = draw.choice([0.1, 0.2]), draw.choice([1.0, 2.0]), draw.choice([3, 4, 6])
    return Number(
        f"Exponential backoff starts with {base:g} s, doubles each time, and is at most {cap:g} s. Without "
        f"jitter, how long is the pause before retry number {retry}?",
        Backoff(base=base, cap=cap, jitter="none").pause(retry - 1, random.Random(0)),
        "s",
        f"{base:g} × 2^{retry - 1}, at most {cap:g}. With full jitter it is any time up to that.",
        {"each pause is the same": base, "pauses grow by the first one": base * retry},
    )


@ask("claim-longer-queue", what_if=True)
def longer_queue(draw: Draw) -> Choice:
    rate, patience = draw.choice([230, 240, 260]), draw.choice([1.0, 1.5])
    short, long = 10, draw.choice([400, 600])
    goodput = {}
    for room in (0, short, long):
        gate = Admission(limit={"kind": "concurrency_limit", "limit": 10}, max_queue=room, timeout=60)
        people = Traffic(Poisson(rate), duration=15, warmup=9, patience=Patience(timeout=patience))
        fleet = servers(2, workers=5, service=Exponential(0.05))
        goodput[f"room for {room}"] = run(
            Experiment(fleet, people, "least_connections", admission=gate)
        ).goodput
    names = list(goodput)
    return Choice(
        f"{rate} requests a second come to servers that can do 200, and clients leave after {patience:g} s. "
        "With which queue do most clients get their answer in time?",
        extreme(
            goodput,
            {
                names[0]: "waiting helps nobody in overload",
                names[1]: "",
                names[2]: "a longer queue loses less",
            },
            most=True,
            by=1.01,
        ),
        "Good answers a second: "
        + ", ".join(f"{rate:.0f} with {name}" for name, rate in goodput.items())
        + ". In overload a long queue is always full, and all who reach its end have gone.",
    )


@ask("claim-hedge-buys")
def cost_of_hedging(draw: Draw) -> Number:
    mean, after = draw.choice([20, 50]), draw.choice([2, 3])
    return Number(
        f"Service times are exponential with a mean of {mean} ms, and there is no waiting. A second request "
        f"is sent if no answer has come after {after * mean} ms. How many per cent more requests do servers "
        "get?",
        100 * exp(-after),
        "%",
        f"exp(−{after}): only what is slow is sent twice.",
        {"a hedge doubles the load": 100.0, "a mean is a limit that nothing exceeds": 0.0},
    )

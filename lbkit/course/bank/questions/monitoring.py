"""Questions on notebook 11: metrics, laws, alerts."""

from __future__ import annotations

from itertools import count

from lbkit import Closed, Constant, Event, Experiment, Exponential, Poisson, Policy, Traffic, run, servers
from lbkit.course.bank.question import Choice, Draw, Number, Questions, bands
from lbkit.laws import Scalability, in_system, share_for_pages, slower_pages, utilisation
from lbkit.sim.theory import mm1_time, mmc_percentile
from lbkit.stats import percentile

ask = Questions("11-monitoring")


@ask("claim-m2-fan-out")
def page_of_many_calls(draw: Draw) -> Number:
    calls = draw.choice([10, 20, 50, 100])
    return Number(
        f"A page makes {calls} independent calls and waits for all. Which share of the pages waits longer "
        "than the p99 of a call?",
        100 * slower_pages(calls),
        "%",
        f"1 − 0.99^{calls}. Users of many services see the tail of each.",
        {"one in a hundred, that is what p99 means": 1.0, "shares of calls add up": float(calls)}
        if calls != 10
        else {"one in a hundred, that is what p99 means": 1.0},
    )


@ask("claim-m2-fan-out")
def quantile_for_pages(draw: Draw) -> Number:
    calls, pages = draw.choice([20, 50, 100]), draw.choice([0.9, 0.99])
    return Number(
        f"{pages:.0%} of the pages are to be quick, and a page waits for {calls} independent calls. How many "
        "of 100,000 calls may be slow, at most?",
        100_000 * (1 - share_for_pages(calls, pages)),
        "calls",
        f"1 − {pages:g}^(1/{calls}), about {1 - pages:.2g} / {calls}.",
        {"as many as pages": 100_000 * (1 - pages)},
    )


@ask("claim-little")
def littles_law(draw: Draw) -> Number:
    rate, ms = draw.choice([50, 120, 400]), draw.choice([80, 150, 250])
    return Number(
        f"{rate} requests a second come and go, and one stays for {ms} ms on average. How many are in the "
        "system on average?",
        in_system(rate, ms / 1000),
        "requests",
        "Little's law: rate × time, whatever the distributions and the algorithm.",
        {"as many as come in a second": float(rate), "it depends on how many servers there are": 1.0},
    )


@ask("claim-utilisation", what_if=True)
def twice_the_traffic(draw: Draw) -> Number:
    load = draw.choice([0.4, 0.45])
    return Number(
        f"One server (M/M/1) is busy {load:.0%} of the time. The traffic doubles. By which factor does the "
        "mean time of a request grow?",
        mm1_time(2 * load) / mm1_time(load),
        "times",
        f"It is busy {2 * load:.0%} then: (1 − {load:g}) / (1 − {2 * load:g}).",
        {"twice the traffic, twice the time": 2.0, "nothing happens below 100 %": 1.0},
    )


@ask("claim-utilisation")
def busy_workers(draw: Draw) -> Number:
    rate, ms, workers = draw.choice([60, 90, 150]), draw.choice([40, 50, 80]), draw.choice([16, 20, 24])
    return Number(
        f"{workers} workers complete {rate} requests a second, each of which takes {ms} ms of work. Which "
        "share of the time is a worker busy?",
        100 * utilisation(rate, ms / 1000, workers),
        "%",
        "Rate × service time / workers.",
        {"workers are busy whenever there is traffic": 100.0},
    )


@ask("claim-usl")
def best_number_of_workers(draw: Draw) -> Number:
    contention, coherency = draw.choice([0.02, 0.05, 0.1]), draw.choice([0.0005, 0.001, 0.004])
    return Number(
        f"The universal scalability law has been fitted with contention {contention:g} and coherency "
        f"{coherency:g}. With how many workers is the throughput highest?",
        Scalability(100, contention, coherency).best,
        "workers",
        "√((1 − contention) / coherency). Beyond that, each worker more makes all of them slower.",
        {"more workers are never slower": 1e6, "contention alone limits": 1 / contention},
        within=0.06,
    )


@ask("claim-m2-omission", what_if=True)
def load_test_that_waits(draw: Draw) -> Choice:
    closed, freeze = draw.choice([True, False]), draw.choice([10, 20])
    arrivals = Closed(users=1, think=0.0) if closed else Poisson(100)
    events = [Event(20, "hang", "s1"), Event(20 + freeze, "recover", "s1")]
    one = servers(1, workers=8, service=Constant(0.01))
    policy = Policy("round_robin", retries=0)
    tail = run(
        Experiment(one, Traffic(arrivals, duration=60), policy, events, seed=draw.randrange(50))
    ).percentile(99)
    who = (
        "One user sends a request, waits for the answer, and sends the next"
        if closed
        else "Requests come at random, 100 a second"
    )
    return Choice(
        f"A server that answers in 10 ms freezes for {freeze} of 60 seconds. {who}. What is the p99 of the "
        "test?",
        bands(
            tail,
            [
                ("about 10 ms", 0.0, 0.05, "a load test sees what users see"),
                (f"about a second, as {freeze / 60:.0%} of the time was "
                "bad", 0.05, 3.0, "a percentile spreads bad times over all"),
                (f"nearly {freeze} s", 0.7 * freeze, 1.1 * freeze, "any load test notices a freeze"),
            ],
        ),
        f"{tail:.2f} s. A test that waits for answers sends nothing while it is bad: it has one slow "
        "request, not thousands.",
    )  # fmt: skip


@ask("claim-m2-averaged", what_if=True)
def average_of_percentiles(draw: Draw) -> Choice:
    share = draw.choice([0.5, 0.995])
    quick, slow = Exponential(0.02), Exponential(0.2)
    quantiles = [(i + 0.5) / 4000 for i in range(4000)]
    many = round(4000 * share)
    times = sorted([quick.quantile(q) for q in draw.sample(quantiles, many)]
                   + [slow.quantile(q) for q in draw.sample(quantiles, 4000 - many)])  # fmt: skip
    averaged = (quick.quantile(0.99) + slow.quantile(0.99)) / 2
    ratio = averaged / percentile(times, 99)
    return Choice(
        f"A quick server gets {share:.1%} of the requests and a slow one, with ten times its latency, the "
        "rest. A dashboard shows the average of the two servers' p99. Against the p99 of all requests, this "
        "is",
        bands(
            ratio,
            [
                ("too low", 0.0, 0.9, "an average overstates the slow server"),
                ("right", 0.9, 1.1, "percentiles can be averaged"),
                ("too high", 1.1, 1e9, "an average hides the slow server, always"),
            ],
        ),
        f"{averaged:.2f} s instead of {percentile(times, 99):.2f} s. Add up histograms, and then take the "
        "percentile.",
    )


@ask("claim-capacity")
def servers_for_a_promise(draw: Draw) -> Number:
    rate, ms = draw.choice([40, 60, 90]), draw.choice([50, 100])
    limit = draw.choice([4, 6])
    busy = rate * ms / 1000
    enough = next(
        n
        for n in count(int(busy) + 1)
        if mmc_percentile(n, busy / n, 99, ms / 1000) <= limit * ms / 1000 * 1.3
    )
    return Number(
        f"{rate} requests a second, exponential work of {ms} ms, one queue for all servers (M/M/c). How many "
        f"servers are needed, so that 99 % are answered within {limit * ms * 1.3:.0f} ms? "
        "(`lbkit.sim.theory.mmc_percentile` may be used.)",
        enough,
        "servers",
        f"They are busy {busy / enough:.0%} of the time: a promise about the tail needs spare servers.",
        {
            "as many as have the capacity": float(int(busy) + 1),
            "one for each request in a second": float(rate),
        },
        within=0.0,
    )


@ask("claim-m5-fires")
def budget_of_errors(draw: Draw) -> Number:
    promise, errors, days = draw.choice([99.9, 99.5, 99.0]), draw.choice([2, 5, 10]), 30
    return Number(
        f"{promise:g} % of the requests of {days} days are to succeed. Since an incident began, {errors} % "
        "fail. After how many hours is the error budget of the month used up?",
        days * 24 * (100 - promise) / errors,
        "hours",
        f"The burn rate is {errors} / {100 - promise:.2g} = {errors / (100 - promise):.0f}: a month's budget "
        "lasts for a month divided by that.",
        {"it lasts for the month": days * 24.0},
    )

"""Questions on notebook 00: what a queue does to a request."""

from __future__ import annotations

from itertools import count

from lbkit import Experiment, Exponential, Server, Traffic, run, servers
from lbkit.course.bank.question import Choice, Draw, Number, Questions, bands
from lbkit.sim.theory import mm1_time

ask = Questions("00-playground")


@ask("story-check")
def enough_servers(draw: Draw) -> Number:
    rate, ms = draw.randrange(25, 96, 5), draw.choice([60, 80, 120, 150])
    service = Exponential(ms / 1000)
    needed = next(n for n in count(1) if Experiment(servers(n, service=service)).capacity > rate)
    return Number(
        f"{rate} requests arrive each second, and each takes a server {ms} ms on average. What is the "
        "smallest number of servers with which the queue does not grow for ever?",
        needed,
        "servers",
        f"The work that arrives in a second is {rate} × {ms / 1000:g} s = {rate * ms / 1000:g} s, and each "
        "server does one second of work a second. It has to be less than the number of servers.",
        {"one server is enough if it is fast": 1.0, "a server short does no harm": needed - 1.0},
        within=0.0,
    )


@ask("luck-seeds")
def busy_servers_spare_time(draw: Draw) -> Number:
    ms, load = draw.choice([20, 50, 100, 200]), draw.choice([0.75, 0.8, 0.9, 0.95])
    return Number(
        f"One server with exponential service times of {ms} ms on average and Poisson arrivals is busy "
        f"{load:.0%} of the time. How long does a request take on average, waiting included?",
        1000 * mm1_time(load, ms / 1000),
        "ms",
        "Mean time = service time / (1 − load): the last few per cent of load cost most of the waiting.",
        {
            "a server that is not full has no queue": float(ms),
            "waiting grows in proportion to load": ms * (1 + load),
        },
    )


@ask("luck-seeds", what_if=True)
def from_half_to_busy(draw: Draw) -> Number:
    low, high = draw.choice([0.4, 0.5, 0.6]), draw.choice([0.9, 0.95])
    return Number(
        f"The load of one server (M/M/1) rises from {low:.0%} to {high:.0%}. By which factor does the mean "
        "time of a request grow?",
        mm1_time(high) / mm1_time(low),
        "times",
        f"(1 − {low:g}) / (1 − {high:g}): what counts is how much of the server is left.",
        {"time grows as load does": high / low, "nothing changes below full load": 1.0},
    )


@ask("luck-seeds", what_if=True)
def turns_to_the_slow_one(draw: Draw) -> Number:
    fast, speed = draw.choice([2, 3, 4]), draw.choice([0.2, 0.25, 0.5])
    fleet = [*servers(fast), Server("slow", speed=speed)]
    result = run(
        Experiment(fleet, Traffic(duration=60), "round_robin", seed=draw.randrange(100)).at_load(0.6)
    )
    return Number(
        f"Round robin sends requests to {fast} equal servers and to one that has {speed:g} times their "
        "speed. Which share of the requests does the slow one get?",
        100 * result.shares["slow"],
        "%",
        "Round robin counts turns. It knows neither the speed of a server nor the length of its queue.",
        {
            "round robin shares by capacity": 100 * speed / (fast + speed),
            "the slow one is left out": 0.0,
        },
    )


@ask("luck")
def was_it_luck(draw: Draw) -> Choice:
    load = draw.choice([0.5, 0.6])
    base = Experiment(servers(4), Traffic(duration=20)).at_load(load)
    means = [run(base.but(policy="random", seed=seed)).mean for seed in range(12)]
    spread = max(means) / min(means)
    return Choice(
        f"You run the same experiment (four servers, load {load:.0%}, 20 s, random choice) with twelve "
        "seeds. How much larger is the largest of the twelve mean times than the smallest?",
        bands(
            spread,
            [
                ("it is the same: the experiment is the same", 0.99, 1.001, "a mean has no luck in it"),
                ("a few per cent", 1.001, 1.1, "some hundred requests are enough to forget about luck"),
                ("between a tenth and three times", 1.1, 3.0, "means of short runs hardly vary"),
                ("more than three times", 3.0, 1e9, "a single run says nothing at all"),
            ],
        ),
        f"It is {spread:.2f} times as large. One run is one draw: compare policies on several seeds, with an "
        "interval.",
    )

"""Questions on notebook 05: health checks."""

from __future__ import annotations

from math import inf

from lbkit import (
    CheckRules,
    Constant,
    Event,
    Experiment,
    HealthRules,
    MaxFailsRules,
    Poisson,
    Policy,
    Probe,
    Trace,
    Traffic,
    run,
    servers,
)
from lbkit.course.bank.question import Choice, Draw, Number, Option, Questions, bands
from lbkit.sim.theory import checks_until_out

ask = Questions("05-health-checks")


@ask("claim-h3-times")
def mean_time_to_find(draw: Draw) -> Number:
    interval, fall, hangs = draw.choice([2, 4, 5]), draw.choice([2, 3, 4]), draw.choice([True, False])
    rules = CheckRules(interval=interval, timeout=1.5, fall=fall)
    what = (
        "hangs (its connections open, and nothing answers)"
        if hangs
        else "is killed (connections are refused)"
    )
    return Number(
        f"A server gets a probe every {interval} s with a timeout of 1.5 s, and {fall} failed probes in a "
        f"row take it out. It {what}. How many seconds later is it out, on average?",
        rules.mean_detection(hangs),
        "s",
        f"Half an interval until the first failed probe starts, {fall - 1} interval{'s' * (fall > 2)} more"
        + (", and the last timeout." if hangs else "."),
        {
            "a dead server is found within one interval": float(interval),
            "only failed probes take time": fall * 1.5,
        },
    )


@ask("claim-h1-cost")
def probes_of_a_fleet(draw: Draw) -> Number:
    balancers, interval = draw.choice([20, 50, 100]), draw.choice([1, 2, 5])
    rules = HealthRules(checks=CheckRules(interval=interval))
    one = Experiment(servers(1), Traffic(Trace([0.0]), 40), Policy(balancers=balancers, health=rules))
    return Number(
        f"{balancers} balancers each probe every server every {interval} s. How many probes a second does "
        "one server get?",
        round(run(one).probe_rate, 1),
        "probes/s",
        "Each balancer checks for itself.",
        {"balancers share what they know": 1 / interval, "an interval is a second": float(balancers)}
        if interval != 1
        else {"balancers share what they know": 1.0, "probes are sent only when there is doubt": 0.0},
    )


@ask("chance")
def one_probe_in_ten(draw: Draw) -> Number:
    share, fall = draw.choice([0.05, 0.1, 0.2]), draw.choice([2, 3])
    return Number(
        f"A healthy server fails {share:.0%} of its probes, by chance. After how many probes, on average, is "
        f"it taken out for the first time, if {fall} in a row are needed?",
        checks_until_out(share, fall),
        "probes",
        "(1 − p^f) / ((1 − p) p^f). A threshold of one more multiplies the time by about 1/p.",
        {"failures add up, in a row or not": fall / share, "the first failure counts": 1 / share},
    )


@ask("claim-h2-sim", what_if=True)
def users_find_the_crash(draw: Draw) -> Number:
    fails, rate = draw.choice([2, 3, 5]), draw.choice([5, 10, 30])
    passive = HealthRules(max_fails=MaxFailsRules(max_fails=fails, fail_timeout=1000))
    policy = Policy("round_robin", retries=0, health=passive)
    crash = [Event(10, "crash", "s2")]
    quick = Experiment(servers(3, service=Constant(0.001)), Traffic(Poisson(3 * rate), 20), policy, crash)
    return Number(
        f"A proxy has no probes; after {fails} failed requests in a row it avoids a server for a long time, "
        f"and it does not try again elsewhere. Each of three servers gets {rate} requests a second, and one "
        "crashes. How many users see an error?",
        run(quick.but(seed=draw.randrange(50))).detections[0].failed,
        "users",
        f"Exactly as many as are needed to notice. It takes about {fails / rate:.2g} s; a faster site "
        "notices sooner, but not with fewer.",
        {"none, as it is found at once": 0.0, "as many as come in a second": float(rate)},
        within=0.0,
    )


@ask("claim-h2-blind", what_if=True)
def probes_pass_users_fail(draw: Draw) -> Choice:
    share, interval = draw.choice([0.1, 0.2, 0.3]), draw.choice([1, 2])
    rules = HealthRules(checks=CheckRules(interval=interval))
    policy = Policy("round_robin", retries=0, health=rules)
    sick = Experiment(servers(4), Traffic(duration=40, clients=100), policy, [Event(10, "fail", "s1", share)])
    seconds = run(sick.but(seed=draw.randrange(50)).at_load(0.5)).detections[0].seconds
    return Choice(
        f"A bug answers {share:.0%} of the users of one server with an error; the page /health is fine. "
        f"Probes every {interval} s, three failures take a server out. When is it taken out?",
        (
            Option(
                f"after about {3 * interval} s",
                seconds < 4 * interval,
                "a server that fails users fails probes, too",
            ),
            Option(
                "later, as only some requests fail",
                4 * interval <= seconds < inf,
                "enough probes find any fault in the end",
            ),
            Option("never", seconds == inf, "probes do not find crashes"),
        ),
        "A probe asks for its own page. What users get is seen in users' answers: outlier detection counts "
        "those.",
    )


@ask("claim-h5-sim", what_if=True)
def deep_check(draw: Draw) -> Choice:
    deep, needs = draw.choice([True, False]), draw.choice([0.2, 0.3, 0.4])
    path = "/health/detail" if deep else "/health"
    rules = HealthRules(checks=CheckRules(interval=1, timeout=0.5, probe=Probe(path=path)))
    fleet = servers(4, dependencies={"database": needs})
    blip = [Event(10, "fail_dependency", dependency="database")]
    base = Experiment(
        fleet, Traffic(duration=30, paths=400), Policy("round_robin", retries=0, health=rules), blip
    )
    good = 1 - run(base.but(seed=draw.randrange(50)).at_load(0.4)).where(arrival=lambda t: t > 16).error_rate
    what = "asks for the state of the database, too" if deep else "asks whether the process is alive"
    return Choice(
        f"Four servers share a database that {needs:.0%} of the pages need. The health check {what}. The "
        "database fails. Which share of the requests gets a good answer then?",
        bands(
            good,
            [
                ("none", 0.0, 0.01, "without its database a site is down"),
                (
                    f"those that do not need it, about {1 - needs:.0%}",
                    0.01,
                    0.95,
                    "a deeper check is a better check",
                ),
                ("all: healthy servers take over", 0.95, 1.01, "another server can help"),
            ],
        ),
        f"{good:.0%}. A check of what all servers share takes all servers out at once.",
    )

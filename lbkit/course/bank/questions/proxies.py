"""Questions on notebook 01: reverse proxies."""

from __future__ import annotations

from lbkit import (
    Caching,
    Constant,
    Event,
    Experiment,
    Exponential,
    Poisson,
    Policy,
    Server,
    Trace,
    Traffic,
    run,
    servers,
)
from lbkit.core.limit import TokenBucket, play
from lbkit.course.bank.question import Choice, Draw, Number, Option, Questions, bands, times
from lbkit.net.peer import Peer, trusted_networks
from lbkit.sim.theory import ttl_hit_rate

ask = Questions("01-reverse-proxies")


@ask("claim-one-address", what_if=True)
def crash_behind_the_proxy(draw: Draw) -> Choice:
    count, retries = draw.choice([3, 4, 5]), draw.choice([0, 1])
    policy = Policy("round_robin", retries=retries)
    crash = [Event(2, "crash", "s2")]
    fleet = servers(count, service=Exponential(0.05))
    site = Experiment(
        fleet, Traffic(Poisson(20 * count / 4), duration=8), policy, crash, seed=draw.randrange(50)
    )
    lost = run(site).error_rate
    again = "tries another server once" if retries else "does not try another server"
    return Choice(
        f"One of {count} servers behind a proxy crashes, and nothing checks the servers' health. The proxy "
        f"{again} when a connection is refused. Which share of the requests after the crash fails?",
        (
            Option("none", lost == 0, "a proxy hides a crash by itself, without trying again"),
            Option(
                f"about one in {count}", lost > 0.05, "a second try does not help, as the server stays broken"
            ),
            Option(
                "all",
                lost > 0.9,
                "clients know the servers' addresses, or one crash takes the whole site down",
            ),
        ),
        "Clients know the proxy's address only. Whether they notice depends on what the proxy does with a "
        f"refused connection: here {lost:.0%} of all requests of the run failed.",
    )


@ask("claim-rp4-rate")
def flood_at_the_bucket(draw: Draw) -> Number:
    burst, per, flood = draw.choice([5, 10, 15]), draw.choice([2, 4, 5]), draw.choice([40, 60])
    arrivals = [i / 20 for i in range(flood)]  # twenty a second
    passed = sum(said.allowed for _, said in play(TokenBucket(rate=per, burst=burst), arrivals))
    return Number(
        f"Each client has a token bucket with room for {burst} and {per} new tokens a second. A client that "
        f"has been silent sends {flood} requests, 20 a second. How many are let in?",
        passed,
        "requests",
        f"The {burst} that were saved, and about {per} for each of the {flood / 20:g} seconds.",
        {
            "the rate alone counts": per * flood / 20,
            "the size of the bucket alone counts": float(burst),
            "a limit per client does not touch the first burst": float(flood),
        },
        within=0.06,
    )


@ask("claim-rp5")
def fresh_for_seconds(draw: Draw) -> Number:
    rate, fresh = draw.choice([0.5, 1, 2]), draw.choice([2, 3, 5])
    return Number(
        f"A page is requested {times(rate)} a second on average (Poisson), and a cache keeps it for {fresh} "
        "s. Which share of the requests does the cache answer?",
        100 * ttl_hit_rate([rate], fresh),
        "%",
        f"After each miss come {rate * fresh:g} hits on average: {rate * fresh:g} of {rate * fresh + 1:g} "
        "requests.",
        {
            "a page that is in the cache never reaches the server": 100.0,
            "half of the requests hit a cache": 50.0,
        },
    )


@ask("claim-rp5-worst", what_if=True)
def page_that_nobody_asks_for_twice(draw: Draw) -> Choice:
    paths, rate = draw.choice([3, 2000]), draw.choice([20, 30])
    crowd = Traffic(Poisson(rate), duration=10, paths=paths)
    site = Experiment(
        servers(3, service=Constant(0.02)), crowd, cache=Caching("max-age=60"), seed=draw.randrange(50)
    )
    hits = run(site).hit_rate
    few = f"each asks for one of {paths:,} pages, all equally popular"
    return Choice(
        f"In ten seconds {rate} requests a second come; {few}. The cache may keep a page for a minute, and "
        "is empty at first. Which share of the requests does it answer?",
        bands(
            hits,
            [
                ("less than 20 %", 0.0, 0.2, "a cache needs minutes before it answers anything"),
                ("20 to 80 %", 0.2, 0.8, "caches have a typical hit rate, whatever is asked for"),
                ("more than 80 %", 0.8, 1.01, "a cache cuts the load by nine tenths, always"),
            ],
        ),
        f"{hits:.0%}: what a cache saves depends on how often the same thing is asked for again while it is "
        "fresh.",
    )


@ask("claim-rp4-connections", what_if=True)
def all_at_once(draw: Draw) -> Number:
    workers, room = draw.choice([2, 4, 8]), draw.choice([5, 10, 20])
    crowd = workers + room + draw.choice([10, 15, 25])
    one = Server("only", workers=workers, queue=room, service=Constant(0.5))
    result = run(Experiment([one], Traffic(Trace([1.0] * crowd), duration=5), Policy(retries=0)))
    return Number(
        f"A server works on {workers} requests at once and has room for {room} more in its queue. {crowd} "
        "requests come at the same moment. How many are rejected?",
        sum(status >= 500 for status in result.status),
        "requests",
        f"{workers} run, {room} wait; the rest is told so at once, which is better than to wait in vain.",
        {"the queue does not count": float(crowd - workers), "all wait, however long": 0.0},
        within=0.0,
    )


@ask("claim-rp3")
def who_is_the_client(draw: Draw) -> Choice:
    forged, honest = f"198.51.100.{draw.randrange(1, 99)}", f"203.0.113.{draw.randrange(1, 99)}"
    tier, believed = f"10.0.0.{draw.randrange(1, 99)}", draw.choice([True, False])
    trusted = trusted_networks(["10.0.0.0/8"] if believed else [])
    found = Peer(tier, trusted).client(f"{forged}, {honest}".encode())
    whom = "addresses of 10.0.0.0/8" if believed else "nobody"
    return Choice(
        f"A proxy gets a connection from {tier} with X-Forwarded-For: {forged}, {honest}. It trusts {whom} "
        "to name clients. Which address does it take for the client's?",
        (
            Option(forged, found == forged, "the first address in X-Forwarded-For is the client's"),
            Option(honest, found == honest, "the field can be believed, whoever sends it"),
            Option(tier, found == tier, "the field is worth nothing, even from one's own proxies"),
        ),
        "It reads from the right, as long as the sender of the entry is trusted: a client can write what it "
        "likes to the left of its own address.",
    )

"""Questions on notebook 03: the chapter's algorithms."""

from __future__ import annotations

from collections import Counter

from lbkit import (
    Backend,
    Constant,
    Event,
    Experiment,
    Exponential,
    LogNormal,
    Pool,
    Server,
    Traffic,
    make_balancer,
    run,
    servers,
)
from lbkit.course.bank.question import Choice, Draw, Number, Option, Questions, Undecided, bands, extreme
from lbkit.sim.theory import moved_by_modulo, moved_by_ring

ask = Questions("03-algorithms")


@ask("claim-a3-orders")
def order_of_turns(draw: Draw) -> Choice:
    heavy = draw.choice([3, 4, 5])
    pool = Pool(
        [Backend("a", weight=heavy), Backend("b"), Backend("c")], make_balancer("weighted_round_robin")
    )
    happened = " ".join(pool.acquire("", 0.0).backend.name for _ in range(heavy + 2))
    orders = {
        happened: "",
        " ".join("a" * heavy + "bc"): "a weight means so many turns in a row",
        " ".join(("abc" * heavy)[: heavy + 2]): "turns are turns, and weights are a hint",
    }
    return Choice(
        f"Servers a, b and c have weights {heavy}, 1 and 1. In which order does nginx's smooth weighted "
        f"round robin send {heavy + 2} requests?",
        tuple(Option(order, order == happened, thinks) for order, thinks in orders.items()),
        "The shares are the same in each cycle; the turns of the strong server are spread, so that it gets "
        "no burst.",
    )


@ask("claim-a3-sim")
def share_by_weight(draw: Draw) -> Number:
    weights = [draw.choice([1, 2, 3]), draw.choice([4, 5]), draw.choice([6, 7, 8])]
    pool = Pool([Backend(f"s{w}", weight=w) for w in weights], make_balancer("weighted_round_robin"))
    cycle = Counter(pool.acquire("", 0.0).backend.name for _ in range(sum(weights)))
    return Number(
        f"Three servers have weights {weights[0]}, {weights[1]} and {weights[2]}. Which share of the "
        f"requests does the one with weight {weights[2]} get by weighted round robin?",
        100 * cycle[f"s{weights[2]}"] / sum(weights),
        "%",
        "Its weight, divided by the sum of all weights.",
        {
            "the heaviest gets everything that it can take": 100.0,
            "weights are relative to the lightest": 100 * weights[0] / weights[2],
            "turns are equal": 100 / 3,
        },
    )


@ask("claim-a2-sim")
def overflow_by_turns(draw: Draw) -> Number:
    fast, speed = draw.choice([3, 4, 9]), draw.choice([0.25, 0.5])
    slow = Server("slow", speed=speed)
    pool = Experiment([*servers(fast), slow])
    turns = (fast + 1) * slow.capacity  # a rate at which its turn is all it can do
    return Number(
        f"{fast} equal servers and one with {speed:g} times their speed get requests in turns. From which "
        "load of the whole pool on does the slow server's queue grow without end?",
        100 * turns / pool.capacity,
        "% of the capacity of all",
        f"Its turns are one of {fast + 1}, and its capacity is {speed:g} of {fast + speed:g}. Beyond that "
        "load, all the spare capacity of the others does not help.",
        {
            "a pool overflows when its capacity is used up": 100.0,
            "it holds as long as the slow one is slow": 100 * speed,
        },
    )


@ask("claim-a4-sim", what_if=True)
def varied_work(draw: Draw) -> Choice:
    load = draw.choice([0.7, 0.75, 0.8])
    fleet = servers(5, service=LogNormal(0.1, draw.choice([2.0, 3.0])))
    base = Experiment(fleet, Traffic(duration=100, warmup=10)).at_load(load)
    policies = {
        "random choice": "random",
        "round robin": "round_robin",
        "least connections": "least_connections",
    }
    seeds = [draw.randrange(1000) for _ in range(3)]
    tails = {
        name: sum(run(base.but(policy=p, seed=s)).percentile(99) for s in seeds) / 3
        for name, p in policies.items()
    }
    return Choice(
        f"Some requests take much longer than others (a heavy tail). Five equal servers, load {load:.0%}. "
        "With which algorithm is the slowest 1 % fastest?",
        extreme(
            tails,
            {
                "random choice": "on average random is fair, and averages are what counts",
                "round robin": "equal numbers of requests are equal load",
                "least connections": "counting costs more than it brings",
            },
            by=1.1,
        ),
        "p99: " + ", ".join(f"{name} {tail:.1f} s" for name, tail in tails.items()) + ".",
    )


@ask("claim-a5-errors", what_if=True)
def fast_failer(draw: Draw) -> Choice:
    count = draw.choice([4, 5])
    fleet = [*servers(count - 1), Server("broken", error_rate=1.0)]
    base = Experiment(fleet, Traffic(duration=40), "least_connections", seed=draw.randrange(100))
    share = run(base.at_load(draw.choice([0.6, 0.7]))).error_rate
    return Choice(
        f"One of {count} servers answers every request with an error at once. No health checks; least "
        "connections. Which share of all requests fails?",
        bands(
            share,
            [
                ("next to none", 0.0, 0.05, "the balancer avoids what is broken"),
                (f"about 1 in {count}", 0.05, 1.3 / count, "each server gets its share, whatever it does"),
                (f"clearly more than 1 in {count}", 1.3 / count, 0.99, "an empty server is a good server"),
                ("all", 0.99, 1.01, "one broken server takes everything"),
            ],
        ),
        f"{share:.0%}. A server that fails at once is always empty, so it looks best.",
    )


@ask("claim-a8", what_if=True)
def clients_that_move(draw: Draw) -> Number:
    count, ring = draw.choice([4, 5, 8, 9]), draw.choice([True, False])
    how = "consistent hashing" if ring else "the hash of its address modulo the number of servers"
    right, wrong = (moved_by_ring, moved_by_modulo) if ring else (moved_by_modulo, moved_by_ring)
    thinks = "any hash reshuffles nearly all" if ring else "a hash moves only what has to move"
    return Number(
        f"A client's server among {count} is found by {how}. One server more joins. Which share of the "
        "clients gets another server?",
        100 * right(count),
        "%",
        f"{right(count):.0%}. The newcomer needs its fair share, 1 of {count + 1}; a modulo moves nearly all "
        "the others, too.",
        {thinks: 100 * wrong(count), "no client moves, as the old servers are still there": 0.0},
    )


@ask("claim-a7", what_if=True)
def behind_one_address(draw: Draw) -> Choice:
    policy = draw.choice(["ip_hash", "round_robin"])
    skew = draw.choice([2.0, 2.5])
    crowd = Traffic(duration=30, clients=200, client_skew=skew)
    result = run(
        Experiment(servers(4, service=Exponential(0.02)), crowd, policy, seed=draw.randrange(100)).at_load(
            0.3
        )
    )
    most = max(result.shares.values())
    name = "IP hash" if policy == "ip_hash" else "round robin"
    return Choice(
        f"More than half of all requests come from one address: a company behind NAT. Four servers, {name}. "
        "Which share does the busiest server get?",
        bands(
            most,
            [
                ("about a quarter", 0.0, 0.3, "a good hash spreads the load evenly"),
                ("30 to 50 %", 0.3, 0.5, "a hash splits a large client over two servers"),
                ("more than half", 0.5, 1.01, "any algorithm has to keep an address together"),
            ],
        ),
        f"{most:.0%}. A hash spreads addresses, not requests.",
    )


@ask("claim-a10", what_if=True)
def newcomer_without_history(draw: Draw) -> Choice:
    policy = draw.choice(["least_response_time", "round_robin"])
    count = draw.choice([5, 9])
    fleet = servers(count, workers=4, service=Constant(0.5))
    joins = [Event(15, "add", f"s{count}")]
    base = Experiment(fleet, Traffic(duration=18), policy, joins, seed=draw.randrange(100)).at_load(0.6)
    then = run(base).where(arrival=lambda t: 15 <= t < 15.45)
    if len(then) < 5:
        raise Undecided("too few requests to tell")
    share = then.shares[f"s{count}"]
    name = "least response time" if policy == "least_response_time" else "round robin"
    return Choice(
        f"A server joins {count - 1} others that are picked by {name}. It has no history yet. Which share of "
        "the requests of the next moments does it get?",
        bands(
            share,
            [
                ("none: it has to prove itself first", 0.0, 0.01, "what is unknown is avoided"),
                (
                    f"about 1 in {count}",
                    0.01,
                    0.5,
                    "an algorithm that measures treats all alike from the start",
                ),
                ("nearly all", 0.7, 1.01, "a newcomer is flooded by any algorithm"),
            ],
        ),
        f"{share:.0%}. "
        + {
            "least_response_time": "An average of no answers counts as zero seconds: the unknown server "
            "looks fastest until its first answers are back.",
            "round_robin": "Turns ask for no history, so a newcomer gets its turn as all others do.",
        }[policy],
    )


@ask("claim-a11-hot")
def hot_key(draw: Draw) -> Number:
    paths, skew = draw.choice([100, 500, 2000]), draw.choice([1.0, 1.2])
    weights = [1 / k**skew for k in range(1, paths + 1)]
    return Number(
        f"{paths} pages are asked for by Zipf's law: page k in proportion to 1/k^{skew:g}. By consistent "
        "hashing over ten servers with very many points each, which share of all requests does the server "
        "of the most popular page get at least?",
        100 * weights[0] / sum(weights),
        "%",
        "All requests for a page go to one server, however finely the ring is cut.",
        {"enough points make the load even": 10.0, "pages are spread, so requests are": 100 / paths},
    )

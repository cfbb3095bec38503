"""Questions on notebook 03b: algorithms after the classics."""

from __future__ import annotations

from collections import Counter

from lbkit import Backend, Experiment, Exponential, Policy, Pool, Traffic, make_balancer, run, servers
from lbkit.course.bank.question import Choice, Draw, Number, Questions, bands
from lbkit.sim.theory import mm1_time, supermarket_time

ask = Questions("03b-more-algorithms")


@ask("choices")
def two_looks(draw: Draw) -> Number:
    load = draw.choice([0.8, 0.9, 0.95])
    return Number(
        f"Very many servers at a load of {load:.0%}, exponential work. By which factor is the mean time of "
        "random choice longer than that of the better of two random servers?",
        mm1_time(load) / supermarket_time(load, 2),
        "times",
        "One more look shortens the queue of the worst servers exponentially; the third look brings little "
        "more.",
        {"two looks are twice as good as one": 2.0, "without a look at all servers nothing is gained": 1.0},
    )


def _owners(algorithm: str, count: int, without: int = 0) -> dict[str, str]:
    """Return the server of each of 2000 keys, among `count` without number `without`."""
    pool = Pool([Backend(f"s{i}") for i in range(1, count + 1) if i != without], make_balancer(algorithm))
    return {f"/item/{i}": pool.acquire(f"/item/{i}", 0.0).backend.name for i in range(2000)}


@ask("jump", what_if=True)
def first_of_ten_leaves(draw: Draw) -> Choice:
    algorithm, count = draw.choice(["jump_hash", "rendezvous"]), draw.choice([8, 10, 12])
    before, after = _owners(algorithm, count), _owners(algorithm, count, without=1)
    share = sum(after[key] != home for key, home in before.items()) / len(before)
    name = "jump consistent hash" if algorithm == "jump_hash" else "rendezvous hashing"
    return Choice(
        f"Keys are at {count} servers by {name}, and the first server of the list leaves. Which share of the "
        "keys moves?",
        bands(
            share,
            [
                ("none", 0.0, 0.001, "a hash is a hash: keys do not move"),
                (
                    f"about 1 in {count}: its own",
                    0.001,
                    2 / count,
                    "each consistent hash moves no more than it must",
                ),
                ("about half", 2 / count, 0.7, "half of the keys move whenever the list changes"),
                ("nearly all", 0.7, 1.01, "a server that leaves moves all keys, as a modulo does"),
            ],
        ),
        f"{share:.0%}. Jump hash numbers its servers: only the last one can leave without harm. Rendezvous "
        "hashing knows names.",
    )


@ask("panic", what_if=True)
def servers_in_panic(draw: Draw) -> Number:
    count = 10
    down = draw.choice([3, 4, 6, 7, 8])
    pool = Pool([Backend(f"s{i}") for i in range(count)], make_balancer("round_robin"), panic=0.5)
    for i in range(down):
        pool.set_health(f"s{i}", False)
    used = len({pool.acquire("", 0.0).backend.name for _ in range(4 * count)})
    slip = {"unhealthy servers never get requests": float(count - down)}
    if used != count:
        slip = {"with a panic threshold, health is ignored": float(count)}
    return Number(
        f"{down} of {count} servers are unhealthy, and the panic threshold is 50 %. To how many servers are "
        "requests sent?",
        used,
        "servers",
        "Below the threshold of healthy servers, the balancer rather believes that its checks are wrong "
        "than that it may load a few servers with everything.",
        slip,
        within=0.0,
    )


@ask("priorities", what_if=True)
def first_level(draw: Draw) -> Choice:
    down = draw.choice([1, 2, 4, 5])
    members = [Backend(f"{zone}{i}", priority=level) for level, zone in enumerate("ns") for i in range(10)]
    pool = Pool(members, make_balancer("priority_levels"))
    for i in range(down):
        pool.set_health(f"n{i}", False)
    picks = Counter(pool.acquire(str(i), 0.0).backend.name[0] for i in range(4000))
    share = picks["n"] / 4000
    return Choice(
        "Ten servers have priority 0 and ten are the reserve (Envoy's levels, overprovisioning factor 1.4). "
        f"Then {down} of the first ten cannot be reached. Which share of the traffic stays at the first "
        "level?",
        bands(
            share,
            [
                ("none: the level counts as failed", 0.0, 0.01, "a level is either up or down"),
                (f"the share of the healthy, {10 - down} of "
                "10", 0.01, 1 - down / 10 + 0.05, "the reserve replaces each server at once"),
                ("more than the share of the healthy, but not "
                "all", 1 - down / 10 + 0.05, 0.999, "the reserve replaces each server at once, or not at "
                    "all"),
                ("all of it", 0.999, 1.01, "a reserve is used only when nothing else is left"),
            ],
        ),
        f"{share:.0%}: 1.4 × the healthy share, at most all. Some failures are absorbed before the reserve "
        "is used.",
    )  # fmt: skip


@ask("load-site", what_if=True)
def many_balancers(draw: Draw) -> Choice:
    balancers = draw.choice([1, 20])
    fleet = servers(20, service=Exponential(0.05))
    base = Experiment(fleet, Traffic(duration=8, warmup=2), seed=draw.randrange(50)).at_load(0.9)
    ways = {"random choice": "random", "least connections": "least_connections"}
    means = {name: run(base.but(policy=Policy(p, balancers=balancers))).mean for name, p in ways.items()}
    gain = means["random choice"] / means["least connections"]
    who = "One balancer has" if balancers == 1 else "Twenty balancers side by side, which do not talk, have"
    return Choice(
        f"{who} 20 servers at a load of 90 %. How many times faster is least connections than random choice?",
        bands(
            gain,
            [
                ("slower", 0.0, 1.0, "counts of one's own requests only do harm"),
                ("up to four times as fast", 1.0, 4.0, "a balancer sees next to nothing, also alone"),
                ("more than four times as fast", 4.0, 1e9, "another balancer changes nothing"),
            ],
        ),
        f"{gain:.1f} times. A balancer counts its own requests only: of twenty, each sees a twentieth of a "
        "server's load.",
    )


@ask("rendezvous")
def weight_in_rendezvous(draw: Draw) -> Number:
    count, weight = draw.choice([4, 6, 9]), draw.choice([2, 3])
    members = [Backend(f"s{i}", weight=weight if i == 0 else 1) for i in range(count)]
    pool = Pool(members, make_balancer("rendezvous"))
    held = sum(pool.acquire(f"/item/{i}", 0.0).backend.name == "s0" for i in range(20_000)) / 20_000
    return Number(
        f"By weighted rendezvous hashing, which share of the keys does the one server of {count} with weight "
        f"{weight} hold, if the others have weight 1?",
        100 * held,
        "%",
        f"{weight} of {count - 1 + weight}, but for chance: here {held:.1%} of 20,000 keys.",
        {"hashing cannot use weights": 100 / count, "the heaviest wins every key": 100.0},
        within=0.08,
    )

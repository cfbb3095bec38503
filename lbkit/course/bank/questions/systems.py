"""Questions on notebook 10: balancers upon balancers."""

from __future__ import annotations

from lbkit import Experiment, Poisson, Policy, Retry, Server, Traffic, aws, run, servers
from lbkit.call_chain import CallChain, run_chain
from lbkit.course.bank.question import Choice, Draw, Number, Questions, bands, extreme
from lbkit.sim.cdn import Demand
from lbkit.sim.theory import lru_hit_rate
from lbkit.topology import six_layers, what_if

ask = Questions("10-multi-layer-systems")


@ask("claim-w2-multiply", what_if=True)
def retries_multiply(draw: Draw) -> Number:
    retries, layers = draw.choice([(1, 2), (2, 2), (1, 3), (2, 3)])
    again = Policy("round_robin", retries=retries, retry=Retry(statuses=(500,)))
    crowd = Traffic(Poisson(20), 4)
    names = [f"service {i}" for i in range(1, layers)]
    chain = [Experiment(servers(3, workers=9), crowd, again, name=names[0])]
    chain += [Experiment(servers(3, workers=9), policy=again, name=name) for name in names[1:]]
    chain.append(Experiment(servers(3, workers=9, error_rate=1.0), policy=again, name="database"))
    found = run_chain(CallChain(chain))
    tries = "once more" if retries == 1 else f"{retries} more times"
    return Number(
        f"{layers} services call each other in a chain; the last is a database that fails every request. "
        f"Each balancer, of {layers}, tries a failed call {tries}. How many calls does the database get for "
        "one request of a user?",
        sum(found["database"].attempts) / len(found[names[0]]),
        "calls",
        f"(1 + {retries})^{layers}: retries of layers multiply.",
        {"retries add up": 1.0 + retries * layers, "only the last layer tries again": 1.0 + retries},
        within=0.0,
    )


@ask("claim-w3-zones", what_if=True)
def lonely_target(draw: Draw) -> Number:
    others, cross = draw.choice([3, 4, 9]), draw.choice([True, False])
    fleet = [Server("x1", zone="x"), *(Server(f"y{i}", zone="y") for i in range(others))]
    balanced = aws.nlb(fleet, aws.nlb_policy(cross_zone=cross), connections="request")
    result = run(balanced.at_load(0.3).but(duration=40, seed=draw.randrange(50)))
    on = "on" if cross else "off"
    wrong = "zones share the traffic by halves" if cross else "each target gets the same share"
    return Number(
        f"A network load balancer has one target in zone x and {others} in zone y, and cross-zone balancing "
        f"is {on}. Each zone's address gets half of the connections. Which share of them does the target in "
        "zone x get?",
        100 * result.shares["x1"],
        "%",
        "Without cross-zone balancing, each zone shares its half among its own targets.",
        {wrong: 50.0 if cross else 100 / (others + 1)},
        within=0.12,
    )


@ask("claim-w1-placement", what_if=True)
def filled_ahead(draw: Draw) -> Choice:
    titles, skew = draw.choice([1000, 2000]), draw.choice([0.8, 0.9])
    weights = Demand(titles, skew=skew).weights()
    room = titles // draw.choice([10, 20])
    hits = {
        "filled on demand": lru_hit_rate(weights, room),
        "filled ahead, with the most popular": sum(weights[:room]) / sum(weights),
    }
    return Choice(
        f"An appliance has room for {room} of {titles:,} films, and the forecast of what is popular is "
        "right. Does it answer more requests if it is filled ahead with the most popular films, or if it "
        "keeps what was asked for last?",
        extreme(
            hits,
            {"filled on demand": "a cache finds out by itself what is "
                "best", "filled ahead, with the most popular": "a forecast is always better"},
            most=True,
            by=1.05,
        ),
        "Hits: " + ", ".join(f"{name} {share:.0%}" for name, share in hits.items()) + ". It holds only as "
            "long as the "
        "forecast is right.",
    )  # fmt: skip


@ask("claim-w4-each")
def in_series(draw: Draw) -> Number:
    layers, percent = draw.choice([4, 5, 6]), draw.choice([99.0, 99.9, 99.5])
    return Number(
        f"A request passes {layers} layers, each of which works {percent:g} % of the time, independently. "
        "Which share of the time does the whole not work?",
        100 * (1 - (percent / 100) ** layers),
        "%",
        "All have to work: availabilities multiply, and small failures nearly add up.",
        {"the weakest layer decides": 100 - percent, "more layers are safer": 100 * (1 - percent / 100) ** 2},
    )


@ask("claim-w4-up", what_if=True)
def who_hides_it(draw: Draw) -> Choice:
    zones = draw.choice([1, 2])
    tree = six_layers(managers=1, regions=1, zones=zones, farms=1, servers=2).at_load(0.15).but(duration=60)
    broken = what_if(tree.but(seed=draw.randrange(20)), "farm-1a")
    lost = broken.lost / broken.came
    some = "two zones, each" if zones == 2 else "one zone"
    return Choice(
        f"A region has {some} with a single farm of servers. A farm fails in the middle of a minute. Which "
        "share of the minute's requests is lost?",
        bands(
            lost,
            [
                ("none", 0.0, 1e-9, "some layer above hides any failure"),
                (
                    "a few per cent, until another zone has them all",
                    1e-9,
                    0.2,
                    "a layer with one child cannot be replaced",
                ),
                (
                    "about half: all that come from then on",
                    0.3,
                    0.7,
                    "balancers above always find another way",
                ),
            ],
        ),
        f"{lost:.1%}. The layer above hides a failure if it has another way; a check takes its time to "
        "notice.",
    )

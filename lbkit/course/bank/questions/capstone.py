"""Questions on notebook 12: a design, and the day that breaks it."""

from __future__ import annotations

from lbkit.course.bank.question import Choice, Draw, Number, Questions, extreme
from lbkit.gameday import Design, play, references, ticket_shop, without_each

ask = Questions("12-capstone")

DAY = (
    "The ticket shop's game day: a server crashes, another is slow, a scraper reads the catalogue, and the "
    "European region is down for some seconds."
)


@ask("claim-z2-help", what_if=True)
def what_saves_the_day(draw: Draw) -> Choice:
    count, seed = draw.choice([6, 8]), draw.randrange(1, 30)
    plain = Design({"europe": count})
    ways = {
        "twice as many servers": Design({"europe": 2 * count}),
        "a better algorithm": plain.but(algorithm="least_connections"),
        "servers in a second region, with checks and a retry": references()["by the book"],
    }
    lost = {
        name: 1 - play(ticket_shop(), way, seed=seed).measures["availability"] for name, way in ways.items()
    }
    return Choice(
        f"{DAY} {count} servers in Europe take turns, at a low load. Which change loses fewest requests?",
        extreme(
            lost,
            {
                "twice as many servers": "failures are a lack of capacity",
                "a better algorithm": "a good choice of servers brings back a region",
                "servers in a second region, with checks and a retry": "redundancy is for peaks",
            },
        ),
        "Lost: " + ", ".join(f"{name} {share:.0%}" for name, share in lost.items()) + ".",
    )


@ask("claim-z2-parts", what_if=True)
def which_part_for_fairness(draw: Draw) -> Choice:
    seed = draw.randrange(1, 30)
    named = {
        "no limits": "the rate limits",
        "no cache": "the cache",
        "round robin": "least connections (turns instead)",
        "no second region": "the second region",
    }
    worse = without_each(references()["the course"])
    fair = {
        said: play(ticket_shop(), worse[name], seed=seed).measures["fairness"] for name, said in named.items()
    }
    return Choice(
        f"{DAY} A design has all the parts below. Which of them, taken away, costs most fairness among "
        "clients?",
        extreme(
            fair,
            {
                "the rate limits": "limits protect servers only",
                "the cache": "who is served from a cache leaves more for others",
                "least connections (turns instead)": "fair to servers is fair to clients",
                "the second region": "fairness is the same as availability",
            },
        ),
        "Jain's index without it: " + ", ".join(f"{name} {index:.2f}" for name, index in fair.items()) + ".",
    )


@ask("money")
def what_a_design_costs(draw: Draw) -> Number:
    europe, america = draw.choice([3, 4, 5]), draw.choice([1, 2, 3])
    shop = ticket_shop()
    design = Design({"europe": europe, "america": america}, across="nearest")
    server = Design({"europe": 2}).cost(shop) - Design({"europe": 1}).cost(shop)
    second = design.cost(shop) - server * (europe + america)
    return Number(
        f"In the ticket shop of notebook 12 a server costs {server:g} euros an hour, and a second region "
        f"{second:g} more. "
        f"What does a design with {europe} servers in Europe and {america} in America cost?",
        design.cost(shop),
        "euros an hour",
        "Redundancy has a price of its own, beside the servers.",
        {"a second region costs its servers only": server * (europe + america)},
        within=0.0,
    )

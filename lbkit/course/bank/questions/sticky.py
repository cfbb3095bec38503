"""Questions on notebook 04: sticky sessions."""

from __future__ import annotations

from collections import Counter

from lbkit import (
    Backend,
    Event,
    Experiment,
    Exponential,
    Policy,
    Pool,
    Sessions,
    Sticky,
    Traffic,
    make_balancer,
    run,
    servers,
)
from lbkit.course.bank.question import Choice, Draw, Number, Option, Questions, bands

ask = Questions("04-sticky-sessions")


@ask("claim-s3-carts")
def things_in_the_cart(draw: Draw) -> Number:
    count, pages = draw.choice([2, 3, 4]), draw.choice([9, 10, 11, 13])
    pool = Pool([Backend(f"s{i}") for i in range(count)], make_balancer("round_robin"))
    carts: Counter[str] = Counter()
    for _ in range(pages):
        last = pool.acquire("ann", 0.0).backend.name
        carts[last] += 1
    return Number(
        f"Each of {count} servers keeps carts in its own memory, and a balancer sends requests in turns. "
        f"Ann, who is alone, puts one thing into her cart with each of {pages} requests. How many things "
        "does the answer to the last one show?",
        carts[last],
        "things",
        f"Her things are spread over {count} carts; she sees the one of the server that answers.",
        {"a cart belongs to Ann, wherever it is": float(pages), "each page starts an empty cart": 1.0},
        within=0.0,
    )


@ask("claim-s4-runs", what_if=True)
def server_with_sessions_dies(draw: Draw) -> Choice:
    state, count = draw.choice(["memory", "shared"]), draw.choice([3, 4])
    visits = Sessions(rate=2 * count, requests=8, think=0.3, state=state)
    policy = Policy("round_robin", sticky=Sticky())
    kill = [Event(3, "crash", "s2")]
    found = run(
        Experiment(servers(count), Traffic(visits, duration=6), policy, kill, seed=draw.randrange(50))
    ).sessions
    where = "in each server's memory" if state == "memory" else "in a store that all servers use"
    return Choice(
        f"Sessions are kept {where}, and a cookie leads each visitor back to the same of {count} servers. "
        "One server is killed. Which visitors lose their session?",
        (
            Option("none", found.lost == 0, "a cookie brings the session along to the next server"),
            Option(
                "those on that server",
                0 < found.lost == found.moved,
                "what a server knew is gone, wherever it was kept",
            ),
            Option("all", found.lost >= found.begun, "stickiness ends for all when one server dies"),
        ),
        f"Visits that had to move to another server: {found.moved}; visits that lost what was kept: "
        f"{found.lost}. The cookie survives the server, its memory does not.",
    )


@ask("claim-s5-newcomer", what_if=True)
def fifth_server(draw: Draw) -> Choice:
    sticky, count = draw.choice([True, False]), draw.choice([4, 5])
    policy = Policy("round_robin", sticky=Sticky() if sticky else None)
    visits = Sessions(rate=0.7 * count, requests=20, think=2.0)
    joins = [Event(100, "add", f"s{count}")]
    crowd = Traffic(visits, duration=112, clients=100_000)
    fleet = servers(count, service=Exponential(0.05))
    then = run(Experiment(fleet, crowd, policy, joins, seed=draw.randrange(50))).where(
        arrival=lambda t: t >= 100
    )
    share = then.shares[f"s{count}"]
    how = "sticky by cookie" if sticky else "free to go to any server"
    return Choice(
        f"Visits last about 40 s, and their requests are {how}. Server {count} joins {count - 1} busy ones. "
        "Which share of all requests does it get in its first ten seconds?",
        bands(
            share,
            [
                ("none", 0.0, 0.001, "a new server waits until it is known"),
                (f"less than half of its part, which is {100 // count} "
                "%", 0.001, 0.5 / count, "visitors stay where they are, also without a cookie"),
                (f"about its part, {100 // count} "
                "%", 0.7 / count, 1.3 / count, "a server that is added helps at once"),
                ("most of them, as it is empty", 0.5, 1.01, "the balancer fills the empty server first"),
            ],
        ),
        f"{share:.0%}. With sticky sessions a newcomer only gets new visits: it helps after as long as a "
        "visit lasts.",
    )  # fmt: skip


@ask("claim-s2-nat-sim", what_if=True)
def company_behind_nat(draw: Draw) -> Choice:
    how, count = draw.choice(["source", "insert"]), draw.choice([4, 5])
    people = Traffic(
        Sessions(rate=2.2, requests=20, think=1.0), duration=80, warmup=20, clients=500, client_skew=2.0
    )
    policy = Policy("round_robin", sticky=Sticky(how))
    result = run(
        Experiment(servers(count, service=Exponential(0.02)), people, policy, seed=draw.randrange(50))
    )
    most = max(result.shares.values())
    name = "the client's address" if how == "source" else "a cookie"
    return Choice(
        f"Six of ten visitors sit in one company and share an address. Sessions stick by {name} to {count} "
        "servers. Which share of the requests does the busiest server get?",
        bands(
            most,
            [
                (
                    "about as much as the others",
                    0.0,
                    1.5 / count,
                    "sticking by address is sticking by visitor",
                ),
                (
                    "clearly more, but less than half",
                    1.5 / count,
                    0.5,
                    "a balancer moves sessions when a server is full",
                ),
                ("more than half", 0.5, 1.01, "any stickiness follows the address"),
            ],
        ),
        f"{most:.0%}. An address is a building; a cookie is a browser.",
    )


@ask("claim-s1-two", what_if=True)
def two_balancers(draw: Draw) -> Choice:
    wrong = draw.choice(["learn", "source"])
    site = Experiment(
        servers(3), Traffic(Sessions(rate=5, requests=10, think=1.0), duration=20), seed=draw.randrange(50)
    )
    ways = {"insert": "a cookie that says which server", wrong: "a table in each balancer's memory"}
    moved = {
        how: run(
            site.but(policy=Policy("round_robin", sticky=Sticky(how, "session"), balancers=2))
        ).sessions.moved
        for how in ways
    }
    return Choice(
        "Two balancers stand side by side, and a visitor's requests reach one or the other. Which kind of "
        "stickiness still leads to the same server?",
        (
            Option(
                ways["insert"],
                moved["insert"] == 0 < moved[wrong],
                "what a client brings along cannot be relied on",
            ),
            Option(
                ways[wrong],
                moved[wrong] == 0 < moved["insert"],
                "a balancer knows what the other one has learnt",
            ),
            Option("both", not any(moved.values()), "sticky is sticky, however it is done"),
            Option("neither", all(moved.values()), "with two balancers nothing sticks"),
        ),
        f"Visits that moved: {moved['insert']} with the cookie, {moved[wrong]} with tables. The client "
        "carries the cookie to whichever balancer it meets.",
    )

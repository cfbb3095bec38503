"""Questions on notebook 09: features of a proxy."""

from __future__ import annotations

from lbkit import Caching, Constant, ConstantRate, Experiment, Traffic, run, servers
from lbkit.core.routing import RouteTable, Routing, Rule, Sample, ToPool, When
from lbkit.course.bank.question import Choice, Draw, Number, Option, Questions, bands
from lbkit.net.peer import Peer, trusted_networks

ask = Questions("09-advanced-features")


@ask("claim-v2-asked")
def which_rule(draw: Draw) -> Choice:
    rules = [
        Rule("testers", ToPool("beta"), When(cookie={"group": "beta"})),
        Rule("pictures", ToPool("images"), When(prefix=("/images",))),
    ]
    if draw.choice([True, False]):
        rules.reverse()
    said = "; ".join(
        {"testers": "cookie group=beta → pool beta", "pictures": "paths below /images → pool images"}[r.name]
        for r in rules
    )
    route = RouteTable(Routing(tuple(rules))).route(
        Sample("/images/cat.png", headers={"Cookie": "group=beta"})
    )
    pool = getattr(route, "pool", "")
    return Choice(
        f"A proxy has these rules, in this order: {said}. Which pool gets GET /images/cat.png with the "
        "cookie group=beta?",
        (
            Option("beta", pool == "beta", "a cookie is worth more than a path"),
            Option("images", pool == "images", "a path is worth more than a cookie"),
            Option("both", pool not in ("beta", "images", "default"), "every rule that fits is carried out"),
            Option("default", pool == "default", "a request that fits two rules fits none"),
        ),
        "The first rule that fits decides.",
    )


@ask("claim-stampede", what_if=True)
def page_expires(draw: Draw) -> Number:
    rate, takes, together = (
        draw.choice([40, 60, 100]),
        draw.choice([0.25, 0.5]),
        draw.choice([False, False, True]),
    )
    fleet = servers(3, workers=100, service=Constant(takes))
    crowd = Traffic(ConstantRate(rate), duration=4.5, clients=8, paths=1)
    result = run(
        Experiment(fleet, crowd, cache=Caching("max-age=2", coalesce=together), seed=draw.randrange(50))
    )
    _, levels = result.in_flight(0.01)
    most = max(sum(each) for each in zip(*levels.values(), strict=True))
    how = (
        "lets one request fetch a page, and the others wait for its answer"
        if together
        else "fetches what it lacks"
    )
    return Number(
        f"One page is asked for {rate} times a second, evenly, and takes a server {takes:g} s to make. A "
        f"cache {how}. The page expires. How many requests for it are at the servers at once, at most?",
        most,
        "requests",
        f"Until the first answer is back, {takes:g} s, {rate * takes:g} requests come, and none finds the "
        "page in the cache.",
        {"a cache has the old page until the new one is there": 0.0}
        | (
            {"each request fetches for itself": rate * takes}
            if together
            else {"a cache fetches a page once": 1.0}
        ),
        within=0.12,
    )


@ask("claim-v4-rates")
def alarm_that_is_right(draw: Draw) -> Number:
    found, false, attacks = (
        draw.choice([0.7, 0.9]),
        draw.choice([0.01, 0.02, 0.05]),
        draw.choice([0.001, 0.005, 0.01]),
    )
    right, wrong = found * attacks, false * (1 - attacks)
    return Number(
        f"{attacks:.1%} of the requests are attacks. A firewall stops {found:.0%} of them, and by mistake "
        f"{false:.0%} of the others. Which share of what it stops is an attack?",
        100 * right / (right + wrong),
        "%",
        f"Of a million requests it stops {1e6 * right:,.0f} attacks and {1e6 * wrong:,.0f} others.",
        {
            "what it finds is what it says": 100 * found,
            "all but its false alarms are attacks": 100 * (1 - false),
        },
    )


@ask("claim-forged", what_if=True)
def thirty_forged_addresses(draw: Draw) -> Number:
    believed, burst = draw.choice([True, False]), draw.choice([5, 10])
    networks = trusted_networks(["0.0.0.0/0"] if believed else [])
    peer = Peer("203.0.113.7", networks)
    counts: dict[str, int] = {}
    admitted = 0
    for i in range(30):
        client = peer.client(f"198.51.100.{i}".encode())
        counts[client] = counts.get(client, 0) + 1
        admitted += counts[client] <= burst
    rule = "believes X-Forwarded-For from everybody" if believed else "ignores X-Forwarded-For from clients"
    return Number(
        f"A proxy lets in {burst} requests of each client, and {rule}. One client sends 30 requests, each "
        "with another address in X-Forwarded-For. How many are let in?",
        admitted,
        "requests",
        "A limit per client is only as good as the proxy's idea of who the client is.",
        {"a forged field is noticed": float(burst)} if believed else {"the field names the client": 30.0},
        within=0.0,
    )


@ask("stampede", what_if=True)
def hit_rate_and_peak(draw: Draw) -> Choice:
    coalesce, fresh = draw.choice([True, False]), draw.choice([4, 5])
    page = Experiment(
        servers(2, workers=8, service=Constant(0.5)),
        Traffic(ConstantRate(100), duration=20, warmup=4, paths=1),
    )
    result = run(page.but(cache=Caching(f"max-age={fresh}", coalesce=coalesce), seed=draw.randrange(50)))
    _, levels = result.in_flight(0.02)
    peak = max(sum(each) for each in zip(*levels.values(), strict=True))
    how = "with one fetch for all" if coalesce else "with a fetch for each request that misses"
    return Choice(
        f"A page is asked for 100 times a second and fresh for {fresh} s; to make it takes half a second. A "
        f"cache answers about {result.hit_rate:.0%} of the requests, {how}. How many of 16 workers are "
        "needed at the worst moment?",
        bands(
            float(peak),
            [
                ("1", 0, 2, "a cache never lets two requests through for the same page"),
                ("2 to 16", 2, 17, "nine tenths fewer requests are nine tenths less load, always"),
                ("more than there are", 17, 1e9, "a cache makes the load of expiry worse than no cache"),
            ],
        ),
        f"{peak}. A hit rate is a mean over time; servers break at the peak.",
    )

"""Questions on notebook 08: geography."""

from __future__ import annotations

from lbkit.core.geo import (
    DnsFailover,
    Internet,
    Location,
    NoRegion,
    Place,
    Region,
    RegionState,
    Resolvers,
    Steering,
    distance,
    round_trip,
    sessions_broken,
)
from lbkit.course.bank.question import Choice, Draw, Number, Option, Questions, bands
from lbkit.sim.theory import lru_hit_rate

ask = Questions("08-around-the-world")

CITIES = {
    "Paris": Place(48.9, 2.4),
    "Lagos": Place(6.5, 3.4),
    "Tokyo": Place(35.7, 139.7),
    "Sydney": Place(-33.9, 151.2),
    "New York": Place(40.7, -74.0),
    "Sao Paulo": Place(-23.6, -46.6),
}


@ask("claim-g1")
def light_in_fibre(draw: Draw) -> Number:
    one, other = draw.sample(list(CITIES), 2)
    far = distance(CITIES[one], CITIES[other])
    return Number(
        f"{one} and {other} are {round(far, -2):,.0f} km apart, and light in fibre covers 200,000 km in a "
        "second. How long does a request take there and back, at the very least?",
        1000 * round_trip(CITIES[one], CITIES[other], detour=1),
        "ms",
        "Twice the distance. No server, however fast, can undo it: it has to be nearer.",
        {
            "an answer needs no time to come back": 1000 * far / 200_000,
            "a fast server is fast for everybody": 0.0,
        },
    )


@ask("claim-g3-ttl")
def last_client_moves(draw: Draw) -> Number:
    ttl, notice, hold = draw.choice([30, 60, 300]), draw.choice([15, 30]), draw.choice([0, 60, 120])
    return Number(
        f"A region fails. The DNS server notices after {notice} s and gives another address, with a TTL of "
        f"{ttl} s, which resolvers keep exactly. Programs keep an address for {hold} s more. After how many "
        "seconds has the last client moved?",
        DnsFailover(ttl, notice, hold=hold).last,
        "s",
        "The delays add up: until it is noticed, until the answer expires, until the program asks again.",
        {
            "a TTL is the time until all have moved": float(ttl),
            "half of it, as answers have different ages": ttl / 2,
        },
    )


@ask("claim-g3", what_if=True)
def resolvers_that_hold_longer(draw: Draw) -> Choice:
    share, minutes, ttl = draw.choice([0.08, 0.1, 0.2]), draw.choice([20, 30]), draw.choice([30, 60])
    kinds = Resolvers(share=1 - share), Resolvers(share=share, least=60.0 * minutes)
    left = DnsFailover(ttl, notice=30, resolvers=kinds).share_left(30 + ttl + 60)
    return Choice(
        f"{share:.0%} of the clients use resolvers that keep each answer for {minutes} minutes at least. The "
        f"TTL is {ttl} s, and a failure is noticed after 30 s. Which share of the clients still goes to the "
        f"failed region {90 + ttl} s after the failure?",
        bands(
            left,
            [
                ("none", 0.0, 0.001, f"a TTL of {ttl} s means {ttl} s"),
                (f"somewhat less than {share:.0%}", 0.001, share, "half of them, as a TTL is a mean"),
                ("about half", share, 0.6, "clients move at random"),
            ],
        ),
        f"{left:.1%}: those whose resolver has an old answer, and will have it for a while.",
    )  # fmt: skip


def _internet() -> Internet:
    return Internet(
        {
            "site-east": ["EastNet"],
            "site-west": ["WestNet"],
            "EastNet": ["Tier1"],
            "WestNet": ["Tier1"],
            "ISP 1": ["EastNet"],
            "ISP 2": ["EastNet"],
            "ISP 3": ["WestNet"],
        },
        [("EastNet", "WestNet")],
    )


@ask("claim-g5-flaps", what_if=True)
def anycast_withdraws(draw: Draw) -> Number:
    users = {f"ISP {i}": draw.choice([100, 200, 500, 800]) for i in (1, 2, 3)}
    both, flaps = ["site-east", "site-west"], draw.choice([1, 2, 3])
    broken = sum(sessions_broken(_internet(), [both, *[["site-west"], both] * flaps], users))
    times = "once" if flaps == 1 else f"{flaps} times"
    return Number(
        "Two sites announce one anycast address. ISP 1 and ISP 2 are customers of the network of site east, "
        f"ISP 3 of that of site west; they have {users['ISP 1']}, {users['ISP 2']} and {users['ISP 3']} open "
        f"connections. Site east stops announcing the address and starts again, {times}. Users whose "
        "connection breaks open another at once. How many connections break in all?",
        broken,
        "connections",
        "Those in the catchment of site east, at each change: when it goes, and when it comes back.",
        {
            "connections follow the route": 0.0,
            "only a withdrawal breaks connections": broken / 2,
            "all connections to the address break": float(2 * flaps * sum(users.values())),
        },
    )


@ask("claim-g2", what_if=True)
def fence_and_failure(draw: Draw) -> Choice:
    regions = [
        Region("dublin", Place(53.3, -6.3), jurisdiction="EU"),
        Region("virginia", Place(38.9, -77.4), jurisdiction="US"),
    ]
    fenced = draw.choice([True, False])
    steering = Steering(regions, "nearest", fence={"EU": ["EU"]} if fenced else {})
    client = Location(CITIES["Paris"], jurisdiction="EU")
    try:
        chosen = steering.choose("ann", client, {"dublin": RegionState(healthy=0)}).name
    except NoRegion:
        chosen = "an error"
    rule = "A fence keeps clients of the EU in the EU" if fenced else "There is no rule about borders"
    thinks = {
        "dublin": "a region that is near is used, up or down",
        "virginia": "an outage is a good reason to cross a border",
        "an error": "a client is never sent to a region that is far away",
    }
    return Choice(
        f"{rule}. The only European region, Dublin, is down; Virginia is up. What does a client in Paris "
        "get?",
        tuple(Option(name, name == chosen, why) for name, why in thinks.items()),
        "The fence is applied before the state of the regions: no failure may move data across a border.",
    )


@ask("claim-g6", what_if=True)
def room_for_a_tenth(draw: Draw) -> Choice:
    objects, skew = draw.choice([1000, 2000]), draw.choice([0.0, 0.9, 1.2])
    weights = [1 / k**skew for k in range(1, objects + 1)]
    hits = lru_hit_rate(weights, objects / 10)
    how = "all are equally popular" if not skew else f"the k-th is asked for in proportion to 1/k^{skew:g}"
    return Choice(
        f"An edge cache (LRU) has room for a tenth of {objects:,} objects; {how}. Which share of the "
        "requests does it answer?",
        bands(
            hits,
            [
                ("about a tenth", 0.0, 0.15, "room for a tenth is a tenth of the hits"),
                (
                    "a third to two thirds",
                    0.3,
                    0.67,
                    "a cache has a hit rate of its own, whatever is popular",
                ),
                ("more than two thirds", 0.67, 1.01, "caches answer nearly everything"),
            ],
        ),
        f"{hits:.0%}. What is popular is in the cache; so it matters how much more popular it is.",
    )

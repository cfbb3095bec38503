"""A content delivery network, against Che's approximation, and its rules."""

from collections import OrderedDict
from collections.abc import Callable

import pytest

from lbkit.core.geo import Place, round_trip
from lbkit.sim.cdn import ORIGIN, Cdn, Demand, Site, play
from lbkit.sim.theory import lru_hit_rate, lru_hit_rates

REQUESTS, WARMUP = 24_000, 6_000


def lru(requests: list[int], room: int) -> int:
    """Return the hits of the plainest LRU cache there is."""
    kept: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for key in requests:
        hits += key in kept
        kept[key] = None
        kept.move_to_end(key)
        if len(kept) > room:
            kept.popitem(last=False)
    return hits


def test_a_site_is_an_lru_cache() -> None:
    cdn, demand = Cdn([Site("edge", 50)]), Demand(500)
    requests = list(demand.requests(["edge"], 5_000))
    play(cdn, requests)
    assert cdn.counts["edge"].hits == lru([key for _, _, key in requests], 50)
    assert cdn.counts["edge"].hits + cdn.fetched == 5_000 == sum(cdn.served.values())


@pytest.mark.parametrize(("room", "skew"), [(50, 0.8), (200, 0.8), (100, 1.1)])
def test_the_hit_rate_is_that_of_che(room: int, skew: float) -> None:
    cdn, demand = Cdn([Site("edge", room)]), Demand(1_000, skew)
    play(cdn, demand.requests(["edge"], REQUESTS), WARMUP)
    assert cdn.counts["edge"].hit_rate == pytest.approx(lru_hit_rate(demand.weights(), room), abs=0.015)


def test_a_tier_gets_what_edges_miss() -> None:
    edges = [Site(f"e{i}", 50, parent="tier") for i in range(4)]
    cdn, demand = Cdn([*edges, Site("tier", 300)]), Demand(1_000)
    play(cdn, demand.requests([edge.name for edge in edges], REQUESTS), WARMUP)
    weights = demand.weights()
    missed = [w * (1 - hit) for w, hit in zip(weights, lru_hit_rates(weights, 50), strict=True)]
    assert cdn.counts["tier"].requests == sum(
        count.requests - count.hits for name, count in cdn.counts.items() if name != "tier"
    )
    # Misses of an object keep a distance that those of a Poisson process do not: a few hits less.
    assert cdn.counts["tier"].hit_rate == pytest.approx(lru_hit_rate(missed, 300), abs=0.03)
    alone = Cdn([Site(f"e{i}", 50) for i in range(4)])
    play(alone, demand.requests([edge.name for edge in edges], REQUESTS), WARMUP)
    assert cdn.origin_load < 0.7 * alone.origin_load


def test_consistent_hashing_makes_one_large_cache_of_several() -> None:
    demand = Demand(1_000)
    rates = {}
    for inside in ("consistent_hash", "random"):
        cdn = Cdn([Site("edge", 40, servers=5)], inside=inside)
        play(cdn, demand.requests(["edge"], REQUESTS), WARMUP)
        rates[inside] = cdn.counts["edge"].hit_rate
    weights = demand.weights()
    assert rates["consistent_hash"] == pytest.approx(lru_hit_rate(weights, 200), abs=0.025)
    assert rates["random"] == pytest.approx(lru_hit_rate(weights, 40), abs=0.02)


def test_what_is_old_is_not_fresh_anew_at_the_next_tier() -> None:
    cdn = Cdn(
        [Site("edge", 10, parent="tier"), Site("other", 10, parent="tier"), Site("tier", 10)],
        None,
        "max-age=60",
    )
    assert cdn.get("edge", 1, 0.0).source == ORIGIN
    assert cdn.get("other", 1, 50.0).source == "tier"
    assert cdn.get("other", 1, 55.0).source == "other"
    assert cdn.get("other", 1, 65.0).asked == ("other", "tier", ORIGIN)


def test_a_purge_reaches_all() -> None:
    cdn = Cdn([Site("edge", 10, parent="tier"), Site("far", 10, servers=3, parent="tier"), Site("tier", 10)])
    for site in ("edge", "far"):
        cdn.get(site, 1, 0.0)
    cdn.get("edge", 2, 0.0)
    assert cdn.purge(1) == 3
    assert cdn.purge(1) == 0
    assert not any(cdn.holds(site, 1) for site in cdn.sites)
    assert cdn.get("edge", 1, 1.0).source == ORIGIN
    assert cdn.get("edge", 2, 1.0).source == "edge"


def test_what_is_placed_is_there() -> None:
    cdn = Cdn([Site("edge", 10)])
    assert cdn.put("edge", range(10), 0.0) == 10
    assert cdn.get("edge", 3, 1.0).source == "edge"
    assert cdn.put("edge", range(100, 115), 0.0) == 10  # as many as there is room for
    assert not cdn.holds("edge", 3)


def test_the_way_is_paid_as_far_as_it_goes() -> None:
    paris, virginia = Place(48.9, 2.4), Place(38.9, -77.4)
    cdn = Cdn([Site("edge", 10, place=paris)], virginia)
    assert cdn.get("edge", 1, 0.0, paris).seconds == pytest.approx(round_trip(paris, virginia))
    assert cdn.get("edge", 1, 0.0, paris).seconds == pytest.approx(0)
    assert cdn.get("edge", 1, 0.0, virginia).seconds == pytest.approx(round_trip(paris, virginia))


def test_tastes_may_be_local() -> None:
    demand = Demand(100, local=True)
    orders = {site: [demand.key(site, rank) for rank in range(100)] for site in ("a", "b")}
    assert sorted(orders["a"]) == sorted(orders["b"]) == list(range(100))
    assert orders["a"] != orders["b"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Cdn([]), "sites is empty"),
        (lambda: Cdn([Site("a", 1), Site("a", 1)]), "a name twice"),
        (lambda: Cdn([Site("a", 1, parent="b")]), "parent of a: unknown site b"),
        (lambda: Cdn([Site("a", 1, parent="b"), Site("b", 1, parent="a")]), "in a circle"),
        (lambda: Cdn([Site("a", 1)], control="no-store"), "control is 'no-store'"),
        (lambda: Site("origin", 1), "name is 'origin'"),
        (lambda: Site("a", 0), "objects is 0"),
        (lambda: Demand(objects=0), "use a whole number of at least 1"),
        (lambda: Demand(rate=0), "rate is 0"),
        (lambda: Cdn([Site("a", 1)]).get("b", 1, 0.0), "unknown site b"),
    ],
)
def test_faults(make: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("local", [False, True])
def test_a_site_filled_ahead_has_what_was_placed_and_nothing_else(local: bool) -> None:
    demand = Demand(1_000, local=local)
    cdn = Cdn([Site("edge", 100, on_demand=False), Site("other", 100)])
    # More than there is room for: the most popular are put last, and stay.
    assert cdn.put("edge", demand.top("edge", 300), 0.0) == 100
    deliveries = play(cdn, demand.requests(["edge"], 5_000))
    placed = set(demand.top("edge", 100))
    keys = [key for _, _, key in demand.requests(["edge"], 5_000)]
    assert [d.source == "edge" for d in deliveries] == [key in placed for key in keys]
    weights = demand.weights()
    assert cdn.counts["edge"].hit_rate == pytest.approx(sum(weights[:100]) / sum(weights), abs=0.03)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Site(5, 3), "name is 5: use a text"),
        (lambda: Site("a", 3, parent=None), "parent is None: use the name of a site"),
        (lambda: Site("a", 3, place=5), "place is 5: use a Place"),
        (lambda: Site("a", 3, on_demand="no"), "on_demand is 'no': use true or false"),
        (lambda: Cdn([5]), "sites has 5: use a Site each"),
        (lambda: Cdn(Site("a", 3)), r"sites is Site.*: use a list with a Site each"),
        (lambda: Cdn([Site("a", 3)], control=5), "control is 5: use a text"),
        (lambda: Cdn([Site("a", 3)], options=5), "options is 5: use a table by name"),
        (lambda: Cdn([Site("a", 3)]).get("a", "x", 0.0), "key is 'x': use a whole number"),
        (lambda: Cdn([Site("a", 3)]).get(["a"], 1, 0.0), r"unknown site \['a'\]; known are a"),
        (lambda: Cdn([Site("a", 3)]).put("b", [1], 0.0), "unknown site b"),
        (lambda: Cdn([Site("a", 3)]).holds("b", 1), "unknown site b; known"),
        (lambda: Cdn([Site("a", 3)]).place_of("b"), "unknown site b; known are a"),
        (lambda: Demand(local="no"), "local is 'no': use true or false"),
        (lambda: list(Demand().requests([], 3)), "sites is empty"),
        (lambda: list(Demand().requests("ab", 3)), "sites is 'ab': use a list of texts"),
        (lambda: list(Demand().requests(["a"], "x")), "count is 'x': use a whole number"),
        (lambda: play(None, []), "cdn is None: use a Cdn"),
        (lambda: play(Cdn([Site("a", 3)]), [], clients=5), "clients is 5: use a table by name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_types_and_names_are_named(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()

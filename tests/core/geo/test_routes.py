"""Paths of networks: against the messages that routers would exchange, and valley-free by law."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.geo.routes import Internet, Learned, NetworkRoute, catchments, moved

# Two large networks that peer; below them regional ones, and below these the sites and the clients.
SMALL = Internet(
    {
        "west": ["large-1"],
        "east": ["large-2"],
        "site-w": ["west"],
        "site-e": ["east"],
        "home": ["west"],
        "office": ["east"],
    },
    peers=[("large-1", "large-2")],
)


def test_each_client_reaches_the_site_below_its_own_provider() -> None:
    routes = SMALL.routes(["site-w", "site-e"])
    assert routes["home"].path == ("home", "west", "site-w")
    assert catchments(routes) == {
        "site-e": ["east", "large-2", "office", "site-e"],
        "site-w": ["home", "large-1", "site-w", "west"],
    }


def test_a_withdrawal_moves_the_clients_of_that_site_and_no_others() -> None:
    before, after = SMALL.routes(["site-w", "site-e"]), SMALL.routes(["site-e"])
    assert moved(before, after) == ["home", "large-1", "site-w", "west"]
    assert after["home"].path == ("home", "west", "large-1", "large-2", "east", "site-e")
    assert after["large-1"].learned is Learned.PEER
    assert moved(before, {}) == sorted(before)


def test_a_customer_route_is_preferred_whatever_its_length() -> None:
    """Why anycast is not always near: the long way through a customer earns money, the short one does not."""
    internet = Internet(
        {"far": ["c2"], "c2": ["c1"], "c1": ["isp"], "near": ["other"]}, peers=[("isp", "other")]
    )
    route = internet.routes(["far", "near"])["isp"]
    assert (route.site, route.length, route.learned) == ("far", 4, Learned.CUSTOMER)
    assert internet.routes(["near"])["isp"].length == 3


def test_what_a_site_prepends_sends_others_elsewhere() -> None:
    both = Internet({"client": ["isp"], "a": ["isp"], "b": ["isp"]})
    assert both.routes(["a", "b"])["client"].site == "a"
    assert both.routes({"a": 1, "b": 0})["client"].site == "b"
    assert both.routes({"a": 1, "b": 1})["client"].length == 4


def test_routes_of_a_peer_go_to_customers_only() -> None:
    """Nobody carries traffic between two peers: it would be paid by neither."""
    internet = Internet({"site": ["a"], "client": ["c"], "b": []}, peers=[("a", "b"), ("b", "c")])
    assert set(internet.routes(["site"])) == {"site", "a", "b"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Internet({"a": ["b"], "b": ["c"], "c": ["a"]}), "in a circle: "),
        (lambda: Internet({"a": ["b"]}, [("a", "x")]), "unknown network x"),
        (lambda: Internet({"a": ["b"]}, [("a", "b")]), "a and b cannot be peers"),
        (lambda: Internet({"a": []}, [("a", "a")]), "a and a cannot be peers"),
        (lambda: SMALL.routes(["hom"]), "unknown network hom; .*did you mean home"),
        (lambda: SMALL.routes({"home": -1}), "prepended is -1"),
    ],
)
def test_what_cannot_be_is_named(make, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        make()


@st.composite
def internets(draw: st.DrawFn) -> tuple[Internet, list[str]]:
    """Networks whose providers come before them, so that nobody pays himself."""
    n = draw(st.integers(2, 9))
    names = [f"n{i}" for i in range(n)]
    providers = {
        name: draw(st.lists(st.sampled_from(names[:i]), max_size=3, unique=True)) if i else []
        for i, name in enumerate(names)
    }
    pairs = draw(st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names)), max_size=8))
    peers = [(a, b) for a, b in pairs if a != b and b not in providers[a] and a not in providers[b]]
    return Internet(providers, peers), draw(
        st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)
    )


def by_messages(internet: Internet, sites: list[str]) -> dict[str, NetworkRoute]:
    """Let every network choose again and again from what its neighbours tell, until nothing changes."""
    routes = {site: NetworkRoute((site,), Learned.ITSELF, 1) for site in sites}
    for _ in range(100):
        before = dict(routes)
        for network in internet.providers:
            if network in sites:
                continue
            offers = []
            for learned, neighbours in (
                (Learned.CUSTOMER, internet.customers[network]),
                (Learned.PEER, internet.peers[network]),
                (Learned.PROVIDER, internet.providers[network]),
            ):
                for other in neighbours:
                    route = routes.get(other)
                    if route is None or network in route.path:
                        continue
                    if learned is Learned.PROVIDER or route.learned <= Learned.CUSTOMER:
                        offers.append((learned, route.length + 1, other, route.path))
            if offers:
                learned, length, _, path = min(offers)
                routes[network] = NetworkRoute((network, *path), learned, length)
            else:
                routes.pop(network, None)
        if routes == before:
            return routes
    raise AssertionError("the routes never settle")


@given(internets())
def test_the_three_stages_end_where_messages_would(drawn: tuple[Internet, list[str]]) -> None:
    internet, sites = drawn
    assert internet.routes(sites) == by_messages(internet, sites)


@given(internets())
def test_paths_have_no_valley(drawn: tuple[Internet, list[str]]) -> None:
    """Seen from the site: up any number of times, across at most once, down any number of times."""
    internet, sites = drawn
    for route in internet.routes(sites).values():
        steps = ""
        for tells, hears in zip(route.path[:0:-1], route.path[-2::-1], strict=True):
            steps += (
                "u"
                if hears in internet.providers[tells]
                else "d"
                if hears in internet.customers[tells]
                else "p"
            )
        assert steps == "".join(sorted(steps, key="upd".index))
        assert steps.count("p") <= 1


@given(internets())
def test_a_withdrawal_cuts_nobody_off_whose_path_did_not_end_there(
    drawn: tuple[Internet, list[str]],
) -> None:
    internet, sites = drawn
    before, after = internet.routes(sites), internet.routes(sites[1:])
    for network, route in before.items():
        if route.site != sites[0] and sites[0] not in route.path:
            assert network in after

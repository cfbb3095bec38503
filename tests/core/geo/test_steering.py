"""Which region serves a client; above all, that a fence holds whatever fails."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.geo import RULES, Location, NoRegion, Place, Region, RegionState, Steering

FRANKFURT = Region("frankfurt", Place(50.11, 8.68), "EU", capacity=100)
DUBLIN = Region("dublin", Place(53.35, -6.26), "EU", capacity=100)
VIRGINIA = Region("virginia", Place(38.95, -77.45), "US", weight=3, capacity=100)
REGIONS = [FRANKFURT, DUBLIN, VIRGINIA]
PARIS = Location(Place(48.86, 2.35), "EU")
BOSTON = Location(Place(42.36, -71.06), "US")
DOWN = RegionState(healthy=0)
FULL = RegionState(load=100)


def test_the_nearest_that_is_up_and_has_room() -> None:
    steering = Steering(REGIONS)
    assert steering.choose("c", PARIS) is FRANKFURT
    assert list(steering.scores("c", PARIS)) == ["frankfurt", "dublin", "virginia"]
    assert steering.choose("c", BOSTON) is VIRGINIA
    assert steering.choose("c", PARIS, {"frankfurt": DOWN}) is DUBLIN
    assert steering.choose("c", PARIS, {"frankfurt": FULL}) is DUBLIN
    assert steering.choose("c", PARIS, {"frankfurt": FULL, "dublin": DOWN}) is VIRGINIA


def test_servers_that_fail_take_their_part_of_the_capacity_along() -> None:
    steering = Steering(REGIONS)
    assert steering.choose("c", PARIS, {"frankfurt": RegionState(0.6, 59)}) is FRANKFURT
    assert steering.choose("c", PARIS, {"frankfurt": RegionState(0.6, 60)}) is DUBLIN
    assert steering.choose("c", PARIS, {"frankfurt": RegionState(0.4, 0)}) is DUBLIN  # fewer than half: down
    one_left = {"frankfurt": RegionState(0.4), "dublin": RegionState(0.1), "virginia": DOWN}
    assert steering.choose("c", PARIS, one_left) is FRANKFURT  # nobody is well
    spare = Steering(REGIONS, full=0.8)
    assert spare.choose("c", PARIS, {"frankfurt": RegionState(load=79)}) is FRANKFURT
    assert spare.choose("c", PARIS, {"frankfurt": RegionState(load=80)}) is DUBLIN


def test_if_all_are_full_the_first_of_them_gets_the_client() -> None:
    everywhere = {region.name: FULL for region in REGIONS}
    assert Steering(REGIONS).choose("c", PARIS, everywhere) is FRANKFURT
    assert Steering(REGIONS).choose("c", PARIS, everywhere | {"frankfurt": DOWN}) is DUBLIN


def test_measured_latencies_replace_estimates() -> None:
    """The cable of this client's network to Frankfurt goes round by America."""
    slow = Steering(REGIONS, "latency", latencies={"c": {"frankfurt": 0.2, "dublin": 0.03}})
    assert slow.choose("c", PARIS) is DUBLIN
    assert slow.choose("another", PARIS) is FRANKFURT


def test_weights_share_clients_out_and_few_move() -> None:
    steering = Steering(REGIONS, "weighted")
    clients = [f"10.0.{i // 250}.{i % 250}" for i in range(5000)]
    homes = {client: steering.choose(client, PARIS).name for client in clients}
    shares = Counter(homes.values())
    assert shares["virginia"] / 5000 == pytest.approx(0.6, abs=0.03)
    assert shares["dublin"] / 5000 == pytest.approx(0.2, abs=0.03)
    after = {client: steering.choose(client, PARIS, {"dublin": DOWN}).name for client in clients}
    assert {homes[client] for client in clients if after[client] != homes[client]} == {"dublin"}
    drained = Steering([FRANKFURT, Region("out", PARIS.place, weight=0)], "weighted")
    assert {drained.choose(client, PARIS).name for client in clients[:50]} == {"frankfurt"}


def test_failover_is_an_order_for_everybody() -> None:
    steering = Steering(REGIONS, "failover", order=["dublin", "virginia"])
    assert steering.choose("c", BOSTON) is DUBLIN
    assert steering.choose("c", PARIS, {"dublin": DOWN}) is VIRGINIA
    with pytest.raises(NoRegion, match="is down: dublin, virginia"):
        steering.choose("c", PARIS, {"dublin": DOWN, "virginia": DOWN})


def test_a_fence_refuses_rather_than_leaks() -> None:
    steering = Steering(REGIONS, fence={"EU": ["EU"]})
    assert steering.choose("c", PARIS, {"frankfurt": FULL, "dublin": FULL}) is FRANKFURT
    with pytest.raises(NoRegion, match="every region that may serve 'c' is down: frankfurt, dublin"):
        steering.choose("c", PARIS, {"frankfurt": DOWN, "dublin": DOWN})
    assert steering.choose("c", BOSTON, {"virginia": DOWN}) is DUBLIN  # not fenced
    nobody_knows = Location(PARIS.place)
    with pytest.raises(NoRegion, match="jurisdiction ''"):
        steering.choose("c", nobody_knows)
    assert Steering(REGIONS, fence={"EU": ["EU"], "": ["EU"]}).choose("c", nobody_knows) is FRANKFURT
    assert Steering(REGIONS).choose("c", nobody_knows) is FRANKFURT


WHERE = st.sampled_from(["EU", "US", "JP", ""])
regions = st.lists(
    st.builds(
        Region,
        st.uuids().map(str),
        st.builds(Place, st.floats(-90, 90), st.floats(-180, 180)),
        st.sampled_from(["EU", "US", "JP"]),
        st.floats(0, 10),
        st.floats(0, 100),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda region: region.name,
)
locations = st.builds(Location, st.builds(Place, st.floats(-90, 90), st.floats(-180, 180)), WHERE)


@given(st.data(), regions, locations, st.sampled_from(sorted(RULES)))
def test_whatever_fails_data_stays_behind_its_fence(
    data: st.DataObject, regions: list[Region], at: Location, rule: str
) -> None:
    there = sorted({region.jurisdiction for region in regions})
    fence = data.draw(st.dictionaries(WHERE, st.sets(st.sampled_from(there)), max_size=4))
    states = {
        region.name: data.draw(st.builds(RegionState, st.floats(0, 1), st.floats(0, 200)))
        for region in regions
    }
    steering = Steering(regions, rule, fence=fence)
    try:
        chosen = steering.choose("c", at, states)
    except NoRegion:
        up = [r for r in regions if states[r.name].healthy > 0 and (rule != "weighted" or r.weight > 0)]
        assert not any(steering.permits(at, region) for region in up)
        return
    assert states[chosen.name].healthy > 0
    if at.jurisdiction in fence:
        assert chosen.jurisdiction in fence[at.jurisdiction]
    elif fence:
        assert at.jurisdiction
    before = list(steering.scores("c", at))
    by_name = {region.name: region for region in regions}
    is_up, room = (
        {name: ask(by_name[name], states[name]) for name in before}
        for ask in (steering.is_up, steering.has_room)
    )
    for name in before[: before.index(chosen.name)]:  # each that comes before has a reason not to be it
        worse = is_up[chosen.name] > is_up[name]
        fuller = is_up[chosen.name] == is_up[name] and room[chosen.name] > room[name]
        assert worse or fuller or states[name].healthy == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Steering([]), "regions is empty"),
        (lambda: Steering([DUBLIN, DUBLIN]), "'dublin' twice"),
        (lambda: Steering(REGIONS, "nearst"), "unknown rule nearst; .*did you mean nearest"),
        (lambda: Steering(REGIONS, order=["dubln"]), "order: unknown region dubln"),
        (lambda: Steering(REGIONS, fence={"EU": ["UE"]}), "fence of 'EU': unknown jurisdiction"),
        (lambda: Steering([3]), "regions has 3: use a Region each"),
        (lambda: Steering(REGIONS, order=3), "order is 3: use a list of texts"),
        (lambda: Steering(REGIONS, fence={"EU": "EU"}), "fence of 'EU' is 'EU': use a list of texts"),
        (lambda: Steering(REGIONS, latencies={"c": 3}), "latencies of c is 3: use a table by name"),
        (lambda: Steering(REGIONS, latencies={"c": {"mars": 1}}), "latencies of c: unknown region mars"),
        (lambda: Steering(REGIONS, latencies={"c": {"dublin": -1}}), "latencies of c, dublin is -1"),
        (lambda: Steering(REGIONS, full=0), "full is 0"),
        (lambda: Steering(REGIONS, least_healthy=2), "least_healthy is 2"),
        (lambda: Region("", PARIS.place), "name is empty"),
        (lambda: Region("x", PARIS.place, weight=-1), "weight is -1"),
        (lambda: Region("x", PARIS.place, capacity=-1), "capacity is -1"),
        (lambda: RegionState(healthy=1.5), "healthy is 1.5"),
    ],
)
def test_wrong_settings_are_named(make, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        make()

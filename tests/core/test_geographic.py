"""Balancing by the client's place; whatever fails, fenced data stays where it may be."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core import AlgorithmError, Backend, NoBackend, Pool, make_balancer

REGIONS = {
    "eu": {"at": [50.1, 8.7], "jurisdiction": "EU"},
    "uk": {"at": [51.5, -0.1], "jurisdiction": "UK"},
    "us": {"at": [39.0, -77.5], "jurisdiction": "US"},
}
CLIENTS = {
    "10.0.0.0/9": {"at": [48.9, 2.4], "jurisdiction": "EU"},
    "10.128.0.0/9": {"at": [42.4, -71.1], "jurisdiction": "US"},
}
PARIS, BOSTON = "10.0.0.7", "10.200.0.7"


def pool_of(**options: Any) -> Pool:
    backends = [Backend(f"{zone}{i}", zone=zone) for zone in REGIONS for i in (1, 2)]
    return Pool(backends, make_balancer("geographic", **{"regions": REGIONS, "clients": CLIENTS} | options))


def regions_of(pool: Pool, client: str, count: int = 4) -> Counter[str]:
    leases = [pool.acquire(client, 0.0) for _ in range(count)]
    for lease in leases:
        lease.release(True, 1.0)
    return Counter(lease.backend.zone for lease in leases)


def test_each_client_is_served_nearby_by_all_servers_of_the_region() -> None:
    pool = pool_of()
    assert regions_of(pool, BOSTON) == {"us": 4}
    names = Counter(pool.acquire(PARIS, 0.0).backend.name for _ in range(4))
    assert names in ({"uk1": 2, "uk2": 2}, {"eu1": 2, "eu2": 2})


def test_the_nearest_region_that_is_up() -> None:
    pool = pool_of()
    first = next(iter(regions_of(pool, PARIS)))
    second = {"eu": "uk", "uk": "eu"}[first]
    pool.set_health(f"{first}1", False)
    assert regions_of(pool, PARIS) == {first: 4}  # half is enough
    pool.set_health(f"{first}2", False)
    assert regions_of(pool, PARIS) == {second: 4}


def test_a_full_region_overflows_into_the_next() -> None:
    limited = {zone: {**table, "capacity": 3} for zone, table in REGIONS.items()}
    pool = pool_of(regions=limited)
    zones = [pool.acquire(BOSTON, 0.0).backend.zone for _ in range(12)]
    assert zones[:9] == ["us"] * 3 + ["uk"] * 3 + ["eu"] * 3
    assert zones[9:] == ["us"] * 3  # all are full: limits are for others to set


def test_a_retry_stays_in_the_region_while_there_is_another_server() -> None:
    pool = pool_of()
    first = pool.acquire(BOSTON, 0.0).backend
    second = pool.acquire(BOSTON, 0.0, exclude=(first,)).backend
    assert (first.zone, second.zone) == ("us", "us")
    assert pool.acquire(BOSTON, 0.0, exclude=(first, second)).backend.zone == "uk"


def test_behind_a_fence_there_is_nobody_rather_than_anybody() -> None:
    pool = pool_of(fence={"EU": ["EU"]})
    assert regions_of(pool, PARIS) == {"eu": 4}
    eu1 = pool.acquire(PARIS, 0.0).backend
    eu2 = pool.acquire(PARIS, 0.0, exclude=(eu1,)).backend
    with pytest.raises(NoBackend):
        pool.acquire(PARIS, 0.0, exclude=(eu1, eu2))
    why = pool.explain(PARIS, 0.0, exclude=(eu1, eu2))
    assert why is not None
    assert "every region that may serve '10.0.0.7' is down: eu" in why.rule
    for backend in (eu1, eu2):
        pool.set_health(backend.name, False)
    with pytest.raises(NoBackend, match="every region that may serve"):
        pool.acquire(PARIS, 0.0)
    assert "is down" in str(pool.explain(PARIS, 0.0))
    assert regions_of(pool, BOSTON) == {"us": 4}
    with pytest.raises(NoBackend, match="jurisdiction ''"):
        pool.acquire("192.0.2.1", 0.0)  # nobody knows where that is


def test_an_explanation_names_the_region_and_the_server() -> None:
    pool = pool_of()
    lease = pool.acquire(BOSTON, 0.0, explain=True)
    assert lease.why is not None
    assert lease.why.rule.startswith("group us, nearest; in it ")


@given(
    st.sampled_from(["nearest", "latency", "weighted", "failover"]),
    st.sets(st.sampled_from([f"{zone}{i}" for zone in REGIONS for i in (1, 2)])),
    st.dictionaries(st.sampled_from(["EU", "US", ""]), st.sets(st.sampled_from(["EU", "UK", "US"]))),
    st.sampled_from([PARIS, BOSTON, "192.0.2.1"]),
    st.integers(0, 5),
)
def test_whatever_fails_data_stays_behind_its_fence(
    rule: str, down: set[str], fence: dict[str, set[str]], client: str, tries: int
) -> None:
    pool = pool_of(rule=rule, fence=fence)
    for name in down:
        pool.set_health(name, False)
    jurisdiction = {PARIS: "EU", BOSTON: "US"}.get(client, "")
    tried: list[Backend] = []
    for _ in range(tries + 1):
        try:
            backend = pool.pick(client, 0.0, tried)
        except NoBackend:
            break
        assert backend not in tried
        assert backend.name not in down
        if jurisdiction in fence:
            assert backend.zone.upper() in fence[jurisdiction]
        else:
            assert jurisdiction or not fence
        tried.append(backend)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "nearby"}, "unknown rule nearby"),
        ({"regions": {"eu": 3}}, "regions.eu is 3: use a table"),
        ({"regions": {"eu": {"at": [1]}}}, "regions.eu: at is"),
        ({"regions": {"eu": {"at": "12"}}}, "regions.eu: at is '12'"),
        ({"regions": {"eu": {"at": [95, 8]}}}, "regions.eu: latitude is 95"),
        ({"regions": {"eu": {"at": [0, 0], "where": 1}}}, "regions.eu: unknown field where"),
        ({"regions": {"eu": {"at": [0, 0], "jurisdiction": 1}}}, "jurisdiction is 1"),
        ({"regions": {"eu": {"at": [0, 0], "capacity": -1}}}, "regions.eu.capacity is -1"),
        ({"clients": {"10.0.0.1/9": {"at": [0, 0]}}}, "use addresses or networks"),
        ({"order": "eu"}, "order is 'eu': use a list of texts"),
        ({"fence": 5}, "fence is 5: use a table by name"),
        ({"fence": {"EU": "EU"}}, "fence of 'EU' is 'EU': use a list of texts"),
        ({"fence": {"UE": ["EU"]}}, "fence: unknown jurisdiction UE; there are none"),
        ({"rule": []}, r"unknown rule \[\]|rule is \[\]: use a text"),  # compiled, its type is checked first
        ({"order": ["asia"]}, "order: unknown region asia"),
        ({"least_healthy": 2}, "least_healthy is 2"),
    ],
    ids=str,
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_balancer("geographic", **options)


def test_a_zone_without_a_place_is_named() -> None:
    with pytest.raises(AlgorithmError, match=r"unknown zone eu; .*; name those of all backends"):
        pool_of(regions={"us": REGIONS["us"]})

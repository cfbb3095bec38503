"""A company's game day as traffic and events."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.experiment import Action
from lbkit.gameday import Design, Incident, ticket_shop
from lbkit.gameday.incident import KINDS, events_of

CURTAIN = ticket_shop()


def test_the_day_has_the_rush_the_scraper_and_both_kinds_of_requests() -> None:
    traffic = CURTAIN.traffic
    (rush,) = (one for one in CURTAIN.incidents if one.kind == "rush")
    (burst,) = traffic.bursts
    assert traffic.arrivals.mean_rate(CURTAIN.length) == pytest.approx(
        CURTAIN.rate * (1 + 0.6 * (rush.end - rush.start) / CURTAIN.length)
    )
    assert (burst.client, burst.requests) == (CURTAIN.scraper, 240)
    assert traffic.clients == CURTAIN.crowd + 1
    assert [kind.method for kind in traffic.mix] == ["GET", "POST"]


def test_a_company_without_pages_to_look_at_has_one_kind_of_requests() -> None:
    assert [kind.name for kind in ticket_shop(browsing=0).traffic.mix] == ["buy"]


@given(europe=st.integers(0, 8), america=st.integers(0, 8), at=st.floats(0, 10), lasts=st.floats(0.01, 8))
def test_what_happens_to_a_region_happens_to_all_servers_of_the_largest_and_ends(
    europe: int, america: int, at: float, lasts: float
) -> None:
    if not europe + america:
        return
    farm = Design({"europe": europe, "america": america}).farm(CURTAIN)
    events = list(events_of([Incident("region", at, at + lasts)], farm))
    hit = {event.server for event in events}
    largest = max(farm.values(), key=len)
    assert len(hit) == len(largest) == max(europe, america)
    assert len({server.rpartition("-")[0] for server in hit}) == 1
    assert sorted(event.action.value for event in events) == sorted(["crash", "recover"] * len(hit))


def test_the_server_that_is_slow_is_another_one_than_the_one_that_crashes() -> None:
    farm = Design({"europe": 2}).farm(CURTAIN)
    events = events_of([Incident("crash", 1, 2), Incident("slow", 3, 4, 0.1)], farm)
    assert {e.action: e.server for e in events if e.action is not Action.RECOVER} == {
        Action.CRASH: "europe-1",
        Action.SLOW: "europe-2",
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "fire", "start": 1, "end": 2}, "kind is 'fire': use crash, slow, region, scraper, rush"),
        ({"kind": "crash", "start": 2, "end": 2}, "end is 2: use a second after the start, 2"),
        ({"kind": "crash", "start": 1, "end": 2, "value": 3}, "value is 3: 'crash' takes none"),
        ({"kind": "slow", "start": 1, "end": 2}, "value is missing: 'slow' needs the factor on its speed"),
        ({"kind": "slow", "start": 1, "end": 2, "value": 7}, "value"),
    ],
)
def test_a_wrong_incident_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Incident(**fields)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"promises": {"p98": 1}}, "promises: unknown measure p98; known are availability"),
        ({"promises": {"p99": -1}}, "promises.p99"),
        ({"incidents": [Incident("crash", 1, 30)]}, "incidents[0].end is 30: the day has 18 s"),
        ({"incidents": ["fire"]}, "incidents[0] is 'fire': use an Incident"),
        (
            {"incidents": [Incident("rush", 1, 3, 2), Incident("rush", 2, 4, 2)]},
            "incidents: two rushes overlap",
        ),
        ({"rate": 0}, "rate"),
        ({"patience": 1}, "patience is 1: use Patience"),
    ],
)
def test_a_wrong_company_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ticket_shop(**changes)


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(TypeError, match=r"unknown field prize; known are .*did you mean prices"):
        CURTAIN.but(prize=1)


def test_the_brief_names_promises_incidents_and_prices() -> None:
    brief = CURTAIN._repr_html_()
    for text in ("at most 500 ms", "at least 99.50 %", "10 € an hour", *(k.title for k in KINDS.values())):
        assert text in brief

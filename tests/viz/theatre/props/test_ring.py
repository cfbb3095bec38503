from __future__ import annotations

import json
from bisect import bisect_right
from functools import cache
from typing import Any

import pytest
from films import keyed, result_of

from lbkit import Event, Experiment, Policy, RequestKind, run, servers
from lbkit.core import Balancer, algorithms, forget
from lbkit.result import Result
from lbkit.viz.theatre import Film, film
from lbkit.viz.theatre.props.membership import DERIVED
from lbkit.viz.theatre.props.ownership import owners_of
from lbkit.viz.theatre.props.ring import ring
from lbkit.viz.theatre.window import window

KEYED = [name for name, one in algorithms().items() if one.keyed]


def prop_of(result: Result) -> dict[str, Any]:
    prop = ring(result, window(result, 0.0, None, 5_000))
    assert prop
    return prop


def ring_of(made: Film) -> dict[str, Any]:
    return next(prop for prop in made.props if prop["kind"] == "ring")


def short(policy: str, **options: Any) -> Experiment:
    """A removal, a return, another weight and a drain, without crashes: no request is tried twice."""
    events = [Event(0.5, "remove", "s2"), Event(1.0, "add", "s2"), Event(1.5, "set_weight", "s1", 2.0)]
    events += [Event(2.0, "drain", "s3"), Event(2.3, "undrain", "s3")]
    return keyed(policy, **options).but(events=events, duration=2.6)


@cache
def shortly(policy: str) -> Result:
    return run(short(policy), record=True)


@pytest.mark.parametrize("policy", KEYED)
def test_the_owners_are_those_that_the_run_picked(policy: str) -> None:
    result = shortly(policy)
    keys = sorted(set(result.extra["keys"].values()))
    made = owners_of(result.experiment, result.extra["memberships"], keys)
    times = [epoch.at for epoch in made]
    for decision in result.extra["decisions"]:
        epoch = made[bisect_right(times, decision.at) - 1]
        room = decision.why.scores.get(result.backends[decision.server]) if policy == "bounded_hash" else None
        owner = epoch.owners[keys.index(result.extra["keys"][decision.request])]
        full = room is not None and decision.why.scores[result.backends[owner]] <= 0
        assert owner == decision.server or full


@pytest.mark.parametrize("policy", ["consistent_hash", "bounded_hash", "nginx_ring", "haproxy_ring"])
def test_on_a_ring_a_key_is_on_an_arc_of_its_owner(policy: str) -> None:
    result = shortly(policy)
    keys = sorted(set(result.extra["keys"].values()))
    for epoch in owners_of(result.experiment, result.extra["memberships"], keys):
        begins = [begin for begin, _ in epoch.arcs]
        for place, owner in zip(epoch.places, epoch.owners, strict=True):
            assert place is not None
            assert epoch.arcs[bisect_right(begins, place) - 1][1] == owner


def test_on_a_ring_only_the_keys_of_a_server_that_leaves_move_and_come_back_with_it() -> None:
    _, left, joined, *_ = (prop := prop_of(result_of("ring")))["epochs"]
    before = prop["epochs"][0]["owners"]
    assert left["why"] == "s2 left"
    assert left["moved"] == [key for key, owner in enumerate(before) if owner == 1]
    assert joined["why"] == "s2 joined"
    assert joined["moved"] == left["moved"]
    assert joined["owners"] == before
    assert left["expected"] == joined["expected"] == pytest.approx(1 / 5)


def test_health_checks_and_weights_move_keys_too() -> None:
    epochs = prop_of(result_of("ring"))["epochs"]
    whys = [epoch["why"] for epoch in epochs]
    assert whys == ["", "s2 left", "s2 joined", "s4 left", "s4 joined", "weight of s1 1 to 3"]
    assert 4.0 < epochs[3]["at"] < 5.0
    assert epochs[5]["expected"] == pytest.approx(3 / 7 - 1 / 5, abs=1e-3)


def test_modulo_moves_most_keys_and_has_no_ring() -> None:
    prop = prop_of(result_of("owners"))
    left = prop["epochs"][1]
    assert prop["title"] == "owners: 36 keys (by path)"
    assert len(left["moved"]) > 24
    assert left["expected"] == pytest.approx(1 / 5)
    assert left["arcs"] == []


def test_with_bounded_loads_it_says_which_requests_went_on_to_another_server() -> None:
    result = result_of("overflow")
    prop = prop_of(result)
    columns = prop["overflows"]
    assert 100 < len(columns["at"]) < len(result)
    assert all(owner != chosen for owner, chosen in zip(columns["owner"], columns["chosen"], strict=True))
    for owner, request in zip(columns["owner"], columns["request"], strict=True):
        assert any(epoch["owners"][prop["of"][request]] == owner for epoch in prop["epochs"])
    assert not prop_of(result_of("ring"))["overflows"]["at"]
    last = result.extra["decisions"][-1].at
    assert f"ring: requests that went past a full server are counted until {last:.3g} s" in film(result).notes


def test_a_switch_to_an_algorithm_without_keys_leaves_them_without_owners() -> None:
    events = [Event(0.5, "switch", algorithm="random"), Event(1.0, "switch", algorithm="maglev")]
    prop = prop_of(run(keyed("consistent_hash").but(events=events, duration=1.5), record=True))
    hashed, chance, table = prop["epochs"]
    assert hashed["arcs"]
    assert set(chance["owners"]) == {-1}
    assert chance["moved"] == table["moved"] == []
    assert table["why"] == "now maglev"
    assert table["slots"] == 65537


def test_more_points_than_can_be_seen_are_thinned_and_the_notes_say_so() -> None:
    made = film(run(keyed("consistent_hash").but(duration=1.0), record=True))
    prop = next(prop for prop in made.props if prop["kind"] == "ring")
    assert "ring: 800 points are too many to see; arcs are drawn in steps of 1/720" in made.notes
    assert prop["epochs"][0]["points"] == []
    assert 100 < len(prop["epochs"][0]["arcs"]) <= 720
    assert len(json.dumps(prop)) < 40_000


def test_of_many_keys_the_most_requested_are_shown() -> None:
    experiment = keyed("consistent_hash", points=8).but(paths=1000, duration=2.0)
    made = film(run(experiment, record=True))
    assert len(ring_of(made)["keys"]) == 100
    assert any(note.startswith("ring: the 100 most requested of") for note in made.notes)


def test_a_film_of_a_part_begins_with_the_owners_of_then() -> None:
    made = film(result_of("ring"), start=2.0, duration=1.5)
    assert [epoch["why"] for epoch in ring_of(made)["epochs"]] == ["", "s2 joined"]
    assert 1 not in ring_of(made)["epochs"][0]["owners"]


@pytest.mark.parametrize("policy", ["consistent_hash", "modulo_hash", "rendezvous"])
def test_without_a_recording_members_and_keys_follow_from_events_and_rows(policy: str) -> None:
    experiment = keyed(policy).but(duration=7.0)
    made, recorded = film(run(experiment)), film(run(experiment, record=True))
    assert DERIVED in made.notes
    assert DERIVED not in recorded.notes
    assert ring_of(made)["keys"] == ring_of(recorded)["keys"]
    assert ring_of(made)["epochs"] == ring_of(recorded)["epochs"]
    assert len(ring_of(made)["epochs"]) == 5


def test_without_a_recording_drains_and_weights_count_too() -> None:
    assert ring_of(film(run(short("maglev"))))["epochs"] == ring_of(film(shortly("maglev")))["epochs"]


def test_without_keys_or_where_they_are_not_known_there_is_no_ring() -> None:
    part = window(result_of("small"), 0.0, None, 5_000)
    assert ring(result_of("small"), part) is None
    mixed = keyed("consistent_hash").but(duration=0.5, mix=[RequestKind("a"), RequestKind("b", path="/b")])
    assert ring(run(mixed), part) is None
    made = film(run(mixed, record=True))
    assert {key.split("/")[1] for key in ring_of(made)["keys"]} == {"item", "b"}


def test_an_algorithm_of_a_learner_that_goes_by_keys_has_owners() -> None:
    class Lengths(Balancer):
        keyed = True
        keyed_by = "path"

        def pick(self, backends: Any, key: str, now: float) -> Any:
            return backends[len(key) % len(backends)]

    try:
        result = run(Experiment(servers(3), policy=Policy("lengths")).but(duration=1.0), record=True)
        prop = prop_of(result)
        for key, owner in zip(prop["keys"], prop["epochs"][0]["owners"], strict=True):
            assert owner == len(key) % 3
        assert prop["epochs"][0]["places"] == [None] * len(prop["keys"])
    finally:
        forget("lengths")
    assert ring(result, window(result, 0.0, None, 5_000)) is None  # it is known no more
    assert "lengths" in film(result).title


def test_where_servers_flap_all_the_time_it_ends_and_the_notes_say_so() -> None:
    flaps = [Event(i / 100, "remove" if i % 2 else "add", "s2") for i in range(1, 300)]
    made = film(run(keyed("consistent_hash").but(events=flaps, duration=3.0), record=True))
    assert len(ring_of(made)["epochs"]) == 200
    assert "ring: its first 200 changes; after 1.99 s it is not up to date" in made.notes
    assert len(json.dumps(ring_of(made))) < 400_000

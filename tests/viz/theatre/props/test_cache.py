from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from films import cached, result_of

from lbkit import Event, Policy, RateLimit, run
from lbkit.caching import Served
from lbkit.core.retry import Retry
from lbkit.patience import Patience
from lbkit.result import Result
from lbkit.viz.theatre import Film, film
from lbkit.viz.theatre.props.cache import cache
from lbkit.viz.theatre.window import window

RETRYING = Policy("least_connections", retry=Retry(statuses=(500,)))


def prop_of(result: Result) -> dict[str, Any]:
    prop = cache(result, window(result, 0.0, None, 5_000))
    assert prop
    return prop


def cache_of(made: Film) -> dict[str, Any]:
    return next(prop for prop in made.props if prop["kind"] == "cache")


def rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_what_became_of_each_request_is_that_of_the_result() -> None:
    result = result_of("cache")
    prop = prop_of(result)
    found = Counter(prop["how"][code] for code in prop["lookups"]["how"])
    assert found == Counter({how: count for how, count in result.cache_counts.items() if count})
    assert {"hit", "miss", "stale", "collapsed"} <= set(found)


def test_followers_wait_until_their_answer_comes() -> None:
    result = result_of("cache")
    for look in rows(prop_of(result)["lookups"]):
        row = look["request"]
        if look["how"] == Served.COLLAPSED:
            assert look["at"] < look["until"] == pytest.approx(result.end[row], abs=1e-6)
        else:
            assert look["at"] == look["until"]


def test_a_hit_is_of_an_answer_that_is_on_the_shelf_and_fresh() -> None:
    prop = prop_of(result_of("cache"))
    for look in rows(prop["lookups"]):
        here = [
            kept
            for kept in rows(prop["kept"])
            if kept["key"] == look["key"]
            and kept["at"] <= look["at"]
            and (kept["gone"] is None or look["at"] < kept["gone"])
        ]
        if look["how"] == Served.HIT:
            assert any(look["at"] < kept["fresh"] for kept in here)
        elif look["how"] == Served.STALE:
            assert any(kept["fresh"] <= look["at"] < kept["usable"] for kept in here)
        elif look["how"] == Served.MISS:
            assert not any(look["at"] < kept["usable"] for kept in here)


def test_the_shelf_never_holds_more_than_it_has_room_for() -> None:
    prop = prop_of(result_of("cache"))
    kept = rows(prop["kept"])
    for now in prop["kept"]["at"]:
        there = [k["size"] for k in kept if k["at"] <= now and (k["gone"] is None or now < k["gone"])]
        assert sum(there) <= prop["room"]
    assert {k["why"] for k in kept} == {"", "evicted", "replaced"}


def test_a_cell_has_one_key_at_a_time() -> None:
    cells = rows(prop_of(result_of("cache"))["cells"])
    for number, one in enumerate(cells):
        for other in cells[number + 1 :]:
            if other["cell"] == one["cell"]:
                assert one["to"] is not None
                assert one["to"] <= other["from"]


def test_each_miss_and_each_refresh_is_a_fetch() -> None:
    result = result_of("cache")
    fetches = rows(prop_of(result)["fetches"])
    assert len(fetches) == result.extra["fetched"]
    assert {fetch["behind"] for fetch in fetches} == {False, True}
    assert all(fetch["at"] <= fetch["end"] for fetch in fetches)


def test_captions_say_what_the_cache_did() -> None:
    made = film(result_of("cache"))
    assert [c["at"] for c in made.captions] == sorted(c["at"] for c in made.captions)
    said = [c["text"] for c in made.captions if c.get("where") == "cache"]
    counts = result_of("cache").cache_counts
    assert len(said) == counts["hit"] + counts["stale"] + counts["collapsed"]
    assert any("fresh for" in text for text in said)
    assert any("served as it is, while it is fetched again" in text for text in said)
    assert any("is being fetched already" in text for text in said)
    assert not any("captions" in prop for prop in made.props)


def test_a_film_of_a_part_goes_on_with_the_counts() -> None:
    result = result_of("cache")
    prop = cache_of(film(result, start=3.0))
    assert sum(prop["before"].values()) + len(prop["lookups"]["at"]) == len(result)
    assert all(kept["gone"] is None or kept["gone"] >= 3.0 for kept in rows(prop["kept"]))


@pytest.mark.parametrize(
    "changes",
    [
        {"policy": RETRYING},
        {"patience": Patience(timeout=0.2, retries=1)},
        {"policy": RETRYING, "patience": Patience(timeout=0.2, retries=1)},
        {"events": [Event(1.0, "crash", "s1"), Event(1.0, "crash", "s2"), Event(1.5, "crash", "s3")]},
    ],
)
def test_it_is_told_with_retries_crashes_and_clients_that_leave_too(changes: dict[str, Any]) -> None:
    made = film(run(cached().but(duration=2.0, **changes), record=True))
    prop = cache_of(made)
    assert json.loads(made.to_json())
    assert all(look["request"] is not None for look in rows(prop["lookups"]))


def test_without_a_recording_it_has_what_follows_from_the_rows() -> None:
    made = film(run(cached()))
    prop, recorded = cache_of(made), cache_of(film(result_of("cache")))
    for name in ("request", "how", "at"):
        assert prop["lookups"][name] == recorded["lookups"][name]
    assert prop["lookups"]["until"] == pytest.approx(recorded["lookups"]["until"])
    assert [prop["keys"][key] for key in prop["lookups"]["key"]] == [
        recorded["keys"][key] for key in recorded["lookups"]["key"]
    ]
    assert prop["kept"]["at"] == prop["cells"]["cell"] == prop["fetches"]["at"] == []
    assert "cache: what is in it is not recorded: only what became of requests" in made.notes
    assert any(caption["text"] == "/item/0 is there" for caption in made.captions)


def test_a_request_that_a_limit_denies_never_came_to_the_cache() -> None:
    limit = RateLimit({"kind": "token_bucket", "rate": 5, "burst": 2})
    for record in (True, False):
        result = run(cached().but(limits=[limit]), record=record)
        looked = prop_of(result)["lookups"]["request"]
        assert 429 in result.status
        assert not any(result.status[row] == 429 for row in looked)


def test_a_run_without_a_cache_has_none() -> None:
    assert cache(result_of("small"), window(result_of("small"), 0.0, None, 5_000)) is None

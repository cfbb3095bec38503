"""Queues with a rate on the stage: who waits, and that what leaves is steady."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from films import result_of

from lbkit import Admission, Experiment, Poisson, RateLimit, Traffic, run, servers
from lbkit.result import Result
from lbkit.viz.theatre import film


def cells(result: Result) -> list[dict[str, Any]]:
    (prop,) = film(result).props
    assert prop["kind"] == "shaper"
    for cell in prop["cells"]:
        cell["how"] = [prop["hows"][how] for how in cell["how"]]
    found: list[dict[str, Any]] = prop["cells"]
    return found


def admitted(cell: dict[str, Any]) -> list[float]:
    pairs = zip(cell["out"], cell["how"], strict=True)
    return sorted(out for out, how in pairs if how == "admitted")


def test_a_leaky_queue_lets_requests_go_evenly_spaced() -> None:
    (cell,) = cells(result_of("shaper"))
    assert (cell["limit"], cell["rate"]) == (10, 20)
    assert all(b - a > 1 / 20 - 2e-6 for a, b in pairwise(admitted(cell)))
    assert any(b - a < 1 / 20 - 2e-6 for a, b in pairwise(cell["at"]))  # they come otherwise


def test_held_requests_are_at_the_balancer_until_they_leave_the_queue() -> None:
    made = film(result_of("shaper"))
    (cell,) = cells(result_of("shaper"))
    picked = dict(zip(made.attempts["request"], made.attempts["at"], strict=True))
    for request, out, how in zip(cell["request"], cell["out"], cell["how"], strict=True):
        if how == "admitted":
            assert picked[request] == pytest.approx(out, abs=2e-6)
        else:
            assert how == "denied"
            assert made.requests["status"][request] == 429


@pytest.mark.parametrize("name", ["shaper", "pace"])
def test_no_more_wait_than_there_is_room_for(name: str) -> None:
    (cell,) = cells(result_of(name))
    changes = sorted([(at, 1) for at in cell["at"]] + [(out, -1) for out in cell["out"]])
    level = most = 0
    for _, change in changes:  # at one moment, who leaves goes first
        level += change
        most = max(most, level)
    assert 3 < most <= cell["limit"] + 1


def test_the_pace_of_a_gate_is_a_shaper_and_says_how_each_wait_ended() -> None:
    result = result_of("pace")
    (cell,) = cells(result)
    ended = Counter(cell["how"])
    assert ended["admitted"] == sum(status == 200 for status in result.status)
    assert ended["full"] == result.extra["refused"]["full"] > 0
    assert ended["late"] == result.extra["refused"]["late"] > 0
    assert film(result).props[0]["title"] == "gate, 20/s, burst 3, fair queue"


def test_without_a_recording_the_pace_is_not_known_and_the_film_says_so() -> None:
    made = film(run(result_of("pace").experiment))
    assert made.props == []
    assert any("waiting before the balancer" in note for note in made.notes)


def test_nginx_with_a_delay_holds_requests_and_is_a_shaper() -> None:
    limit = RateLimit({"kind": "nginx_limit", "rate": 10, "burst": 6, "delay": 2}, key="global")
    experiment = Experiment(servers(2), Traffic(Poisson(25), 3.0), limits=limit)
    (cell,) = cells(run(experiment, record=True))
    waits = [out - at for at, out in zip(cell["at"], cell["out"], strict=True)]
    assert set(cell["how"]) == {"admitted", "denied"}
    assert 0.2 < max(waits) < 0.41


def test_a_queue_and_a_pace_stand_side_by_side_and_a_bucket_apart() -> None:
    limits = [
        RateLimit({"kind": "leaky_queue", "rate": 30, "capacity": 5}, key="global"),
        RateLimit({"kind": "token_bucket", "rate": 30, "burst": 5}, key="client"),
    ]
    experiment = Experiment(
        servers(2), Traffic(Poisson(25), 2.0, clients=2), limits=limits, admission=Admission(rate=15)
    )
    made = film(run(experiment, record=True))
    assert [(prop["kind"], len(prop["cells"])) for prop in made.props] == [("limiter", 2), ("shaper", 2)]

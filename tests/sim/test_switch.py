"""The event "switch": the balancer goes on with another algorithm, in mid-run."""

from __future__ import annotations

from typing import Any

import pytest

from lbkit import Canary, Event, Experiment, ExperimentError, Layer4, Policy, Server, Traffic, run, servers
from lbkit.core import algorithms
from lbkit.result import Result
from lbkit.viz.over_time import time_layout

FLEET = servers(3, speed=[4, 1, 1], delay=0.001)


def at_5(algorithm: str, options: dict[str, Any] | None = None) -> list[Event]:
    return [Event(5.0, "switch", algorithm=algorithm, options=options or {})]


def scene(policy: Policy | str = "round_robin", events: list[Event] | None = None) -> Experiment:
    return Experiment(FLEET, Traffic(duration=10, clients=20, paths=50), policy, events or []).at_load(0.4)


def share_of_first(result: Result, start: float, end: float) -> float:
    rows = [b for b, at in zip(result.backend, result.arrival, strict=True) if start <= at < end]
    return rows.count(0) / len(rows)


def test_nothing_changes_before_and_the_new_algorithm_picks_afterwards() -> None:
    usual, switched = run(scene()), run(scene(events=at_5("least_connections")))
    early = sum(at < 5.0 for at in usual.arrival)
    assert usual.backend[:early] == switched.backend[:early]
    assert share_of_first(switched, 0, 5) == pytest.approx(1 / 3, abs=0.01)
    assert share_of_first(switched, 5, 10) > 0.4


def test_options_and_the_key_are_those_of_the_new_algorithm() -> None:
    result = run(scene(events=at_5("consistent_hash", {"points": 10})))
    rows = [row for row in zip(result.path, result.backend, result.arrival, strict=True) if row[2] >= 5]
    assert len({(path, backend) for path, backend, _ in rows}) == len({path for path, _, _ in rows})
    ring = run(scene("consistent_hash", at_5("round_robin")))
    assert share_of_first(ring, 5, 10) == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize(
    "algorithm", ["prequal", "client_side_weighted", "join_idle_queue", "subset", "maglev"]
)
@pytest.mark.parametrize("balancers", [1, 3])
def test_algorithms_that_need_more_than_picks_can_be_switched_to(algorithm: str, balancers: int) -> None:
    result = run(scene(Policy("round_robin", balancers=balancers), at_5(algorithm)))
    assert all(status == 200 for status in result.status)
    assert algorithms()[algorithm].name == algorithm


def test_connections_at_layer_4_are_balanced_by_the_new_algorithm() -> None:
    result = run(scene(events=at_5("least_connections")).but(layer4=Layer4("request")))
    assert share_of_first(result, 5, 10) > share_of_first(result, 0, 5) + 0.05


def test_a_switch_is_kept_in_files_and_named_in_figures() -> None:
    experiment = scene(events=at_5("power_of_choices", {"choices": 3}))
    assert Experiment.from_toml(experiment.to_toml()) == experiment
    assert Experiment.from_json(experiment.to_json()) == experiment
    assert [note["text"] for note in time_layout(experiment)["annotations"]] == ["switch to power_of_choices"]
    assert hash(experiment.events[0]) == hash(Event(5.0, "switch", algorithm="power_of_choices"))


def test_what_cannot_be_switched_to_is_named() -> None:
    with pytest.raises(ValueError, match=r"algorithm: no algorithm 'rond_robin': did you mean round_robin\?"):
        Event(1.0, "switch", algorithm="rond_robin")
    with pytest.raises(ValueError, match="unknown option chioces"):
        Event(1.0, "switch", algorithm="power_of_choices", options={"chioces": 2})
    with pytest.raises(ValueError, match="algorithm is 'random': 'crash' takes none"):
        Event(1.0, "crash", "s1", algorithm="random")
    with pytest.raises(ExperimentError, match="server is 's1': a switch happens to no server"):
        scene(events=[Event(1.0, "switch", "s1", algorithm="random")])
    zones = [Server("s1", zone="x"), Server("s2", zone="y")]
    crash = Event(2.0, "crash", "s1")
    with pytest.raises(ExperimentError, match="'locality_weighted', which goes by the health of each zone"):
        scene(events=[*at_5("locality_weighted"), crash]).but(servers=zones)
    with pytest.raises(ExperimentError, match="'least_connections', which gives no shares"):
        scene("weighted_round_robin", at_5("least_connections")).but(deploy=Canary(new=("s1",)))

from __future__ import annotations

from films import result_of

from lbkit import Policy, run
from lbkit.core.health import HealthRules
from lbkit.viz.theatre.props.health import MARKS, health, title
from lbkit.viz.theatre.window import window


def test_probes_and_tallies_are_those_of_the_film() -> None:
    result = result_of("health")
    prop = health(result, window(result, 0.0, None, 5000))
    assert prop
    assert (prop["fall"], prop["rise"], prop["failures"]) == (3, 2, 3)
    assert len(prop["probes"]["sent"]) == len(result.extra["probed"])
    assert "down" in prop["tallies"]["check"]
    out = [until for until in prop["tallies"]["until"] if until is not None]
    assert out
    assert {len(column) for column in prop["tallies"].values()} == {len(prop["tallies"]["at"])}
    assert True in prop["panic"]["on"]
    assert prop["notes"] == []


def test_a_window_has_what_still_holds_at_its_start() -> None:
    result = result_of("health")
    prop = health(result, window(result, 4.0, 1.0, 5000))
    assert prop
    before = [server for server, at in zip(*columns(prop["tallies"], "server", "at"), strict=True) if at <= 4]
    assert sorted(before) == [0, 1, 2, 3]  # the state of each, once
    probes = prop["probes"]
    earlier = [server for server, ended in zip(*columns(probes, "server", "ended"), strict=True) if ended < 4]
    assert max(earlier.count(server) for server in range(4)) == MARKS
    assert max(probes["sent"]) <= 5.0
    assert probes["sent"] == sorted(probes["sent"])


def columns(table: dict, *names: str) -> list[list]:
    return [table[name] for name in names]


def test_there_is_none_without_health_rules_or_a_recording() -> None:
    for result in (result_of("small"), run(result_of("health").experiment)):
        assert health(result, window(result, 0.0, None, 5000)) is None


def test_of_several_balancers_a_note_says_which_one_is_shown() -> None:
    experiment = result_of("health").experiment
    policy = Policy("random", health=HealthRules(checks=experiment.policy.health.checks), balancers=2)
    result = run(experiment.but(policy=policy), record=True)
    prop = health(result, window(result, 0.0, None, 5000))
    assert prop
    assert prop["notes"] == ["health checks are those of the first of 2 balancers"]


def test_the_title_says_the_rules() -> None:
    policy = result_of("health").experiment.policy
    assert title(policy.health, 0.5) == (
        "health: a check every 0.5 s, out after 3, in after 2; 3 failures in a row: out for 1.5 s; "
        "panic below 50% healthy"
    )

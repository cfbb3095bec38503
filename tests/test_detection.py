from __future__ import annotations

from math import inf

import pytest

from lbkit import (
    CheckRules,
    Event,
    Experiment,
    HealthRules,
    MaxFailsRules,
    Policy,
    Probe,
    Result,
    Trace,
    Traffic,
    run,
    servers,
)
from lbkit.core.health import CheckState
from lbkit.core.state_change import OUT, StateChange

CHECKS = CheckRules(interval=1.0, timeout=0.5, fall=3, rise=2)


def result(health: HealthRules, *events: Event, seed: int = 1, **fields) -> Result:
    three = servers(3, dependencies={"database": 0.3})
    experiment = Experiment(three, policy=Policy(retries=0, health=health), events=events, seed=seed)
    return run(experiment.at_load(0.5).but(duration=30, **fields))


def test_a_crash_is_found_by_checks_and_the_requests_that_fail_meanwhile_are_counted() -> None:
    seen = result(HealthRules(checks=CHECKS), Event(10, "crash", "s2"))
    (found,) = seen.detections
    down = next(change for change in seen.changes if change.after == "down")
    assert found == ("s2", 10, down.at, "check", len(seen.where(status=502)))
    assert found.seconds == down.at - 10
    assert found.failed > 0


def test_a_hang_takes_the_timeout_longer_for_every_seed() -> None:
    health = HealthRules(checks=CHECKS)
    for seed in range(5):
        times = [
            result(health, Event(10, action, "s2"), seed=seed).detections[0].seconds
            for action in ("crash", "hang")
        ]
        assert times[1] - times[0] == pytest.approx(CHECKS.timeout)
        assert CHECKS.longest_detection() - CHECKS.interval <= times[0] <= CHECKS.longest_detection()


def test_users_find_what_checks_do_not_look_for() -> None:
    fault = Event(10, "fail", "s1", 0.5)
    (unnoticed,) = result(HealthRules(checks=CHECKS), fault).detections
    assert (unnoticed.found, unnoticed.seconds, unnoticed.by) == (inf, inf, "")
    assert unnoticed.failed > 100  # until the end
    (noticed,) = result(HealthRules(checks=CHECKS, max_fails=MaxFailsRules()), fault).detections
    assert noticed.by == "max_fails"
    assert noticed.failed == 1


def test_a_fault_that_ends_is_not_found_later() -> None:
    events = [Event(10, "crash", "s2"), Event(10.5, "recover", "s2"), Event(20, "crash", "s2")]
    first, second = result(HealthRules(checks=CHECKS), *events).detections
    assert first.found == inf
    assert 20 < second.found < 24


def test_a_shared_dependency_is_a_fault_of_each_server_that_has_it() -> None:
    deep = CheckRules(interval=1.0, timeout=0.5, fall=3, probe=Probe(path="/health/detail"))
    events = [
        Event(10, "fail_dependency", dependency="database"),
        Event(20, "restore_dependency", dependency="database"),
    ]
    found = result(HealthRules(checks=deep), *events).detections
    assert [d.server for d in found] == ["s1", "s2", "s3"]
    assert all(12 <= d.found <= 13 for d in found)
    one = result(HealthRules(checks=deep), Event(10, "fail_dependency", "s2", dependency="database"))
    assert [d.server for d in one.detections] == ["s2"]


def test_without_faults_nothing_is_detected() -> None:
    assert result(HealthRules(checks=CHECKS), Event(10, "slow", "s1", 0.5)).detections == ()


def test_a_change_takes_a_backend_out_once() -> None:
    states = [state.label for state in CheckState]
    taking = [
        (before, after)
        for before in states
        for after in states
        if StateChange(0, "s", "check", before, after).takes_out
    ]
    assert {after for _, after in taking} == {"down"} <= set(OUT)
    assert {before for before, _ in taking} == {"up", "failing"}
    assert StateChange(0, "s", "breaker", "closed", "open").takes_out
    assert not StateChange(0, "s", "breaker", "half open", "open").takes_out
    assert not StateChange(0, "s", "drain", "draining", "drained").takes_out


@pytest.mark.parametrize("balancers", [1, 4])
def test_probes_are_counted_for_each_balancer_and_server(balancers: int) -> None:
    policy = Policy(balancers=balancers, health=HealthRules(checks=CHECKS))
    seen = run(Experiment(servers(3, workers=2), Traffic(Trace([29.9]), 30), policy))
    assert seen.probes == pytest.approx(CHECKS.probe_rate(3) * 30 * balancers, abs=3 * balancers)
    assert seen.probe_rate == seen.probes / 30
    assert seen.probe_share(0.01) == pytest.approx(seen.probes * 0.01 / (6 * 30))
    assert run(Experiment(servers(3))).probes == 0
    with pytest.raises(ValueError, match="work is -1"):
        seen.probe_share(-1)

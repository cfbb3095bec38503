"""A rolling deploy of all servers under load, in the simulator."""

from __future__ import annotations

import pytest

from lbkit import (
    CheckRules,
    DrainRules,
    Experiment,
    HealthRules,
    Policy,
    RollingDeploy,
    SlowStart,
    run,
    servers,
)

RULES = RollingDeploy(at=3, settle=1)
DRAIN = DrainRules(timeout=20)


def experiment(rules: RollingDeploy = RULES, seed: int = 1, **policy) -> Experiment:
    """Five servers that take half a second to start, at 70 % load. No request may be repeated: as a POST."""
    there = servers(5, workers=10, boot=0.5)
    made = Policy("least_connections", retries=0, drain=DRAIN, **policy)
    return Experiment(there, policy=made, deploy=rules, seed=seed).at_load(0.7).but(duration=30)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_rolling_deploy_at_70_percent_load_loses_nothing_and_a_plain_restart_does(seed: int) -> None:
    result = run(experiment(seed=seed))
    assert result.extra["deploy"] == "done"
    assert result.error_rate == 0
    plain = run(experiment(RollingDeploy(at=3, settle=1, drain=False), seed=seed))
    assert plain.extra["deploy"] == "done"
    lost = sum(status == 502 for status in plain.status)
    assert lost > 100  # what ran on each of five, and what was refused while it started


def test_each_server_goes_through_the_states() -> None:
    result = run(experiment(slow_start=SlowStart(window=1)))
    for name in result.backends:
        drains = [c.after for c in result.changes if c.backend == name and c.kind == "drain"]
        assert drains == ["draining", "drained", "stopped", "ready"]
    at = [c.at for c in result.changes if c.after == "draining" and c.kind == "drain"]
    back = [c.at for c in result.changes if c.after == "ready"]
    assert all(b < a for b, a in zip(back, at[1:], strict=False))  # never two at once


def test_a_server_is_not_given_requests_before_its_checks_say_so() -> None:
    checks = CheckRules(interval=0.1, timeout=0.05, rise=5, fall=2)
    result = run(experiment(health=HealthRules(checks=checks)))
    assert (result.extra["deploy"], result.error_rate) == ("done", 0)
    for name in result.backends:
        mine = [c for c in result.changes if c.backend == name]
        up = next(c.at for c in mine if c.after == "up")
        assert next(c.at for c in mine if c.after == "ready") >= up


def test_a_version_that_fails_is_rolled_back_and_serves_few() -> None:
    result = run(experiment(RollingDeploy(at=3, settle=1, error_rate=0.2)))
    assert result.extra["deploy"] == "rolled back"
    failed = [end for end, s in zip(result.end, result.status, strict=True) if s == 500]
    assert 0 < len(failed) < 0.01 * len(result)
    assert max(failed) - min(failed) < 3


def test_a_version_that_is_as_good_is_rarely_rolled_back() -> None:
    """Errors of 2 % in both: `false_alarms` of 20 % in 25 deploys; Fisher's test is below it."""
    rules = RollingDeploy(at=1, settle=0.5, false_alarms=0.2, error_rate=0.02)
    there = servers(3, workers=4, error_rate=0.02)
    base = Experiment(there, policy=Policy(drain=DRAIN), deploy=rules).at_load(0.7).but(duration=8)
    ends = [run(base.but(seed=seed)).extra["deploy"] for seed in range(25)]
    assert set(ends) <= {"done", "rolled back"}
    assert ends.count("rolled back") <= 10


def test_a_deploy_that_does_not_end_with_the_traffic_says_so() -> None:
    assert run(experiment().but(duration=5)).extra["deploy"] == "running"


def test_it_is_a_part_of_the_file() -> None:
    made = experiment(RollingDeploy(at=3, error_rate=0.5))
    assert Experiment.from_toml(made.to_toml()) == made

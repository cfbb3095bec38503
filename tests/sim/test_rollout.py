"""Deploys under load, in the simulator: rolling, blue-green and canary."""

from __future__ import annotations

import pytest

from lbkit import (
    BlueGreen,
    Canary,
    CheckRules,
    DrainRules,
    Event,
    Experiment,
    ExperimentError,
    HealthRules,
    Policy,
    RollingDeploy,
    Server,
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


@pytest.mark.parametrize("batch", [1, 2])
def test_a_version_that_does_not_start_in_time_is_rolled_back_and_loses_nothing(batch: int) -> None:
    """It takes half a second to start, as the old one does, and has less."""
    result = run(experiment(RollingDeploy(at=3, settle=1, batch=batch, start_timeout=0.3)))
    assert result.extra["deploy"] == "rolled back"
    assert result.error_rate == 0
    replaced = {change.backend for change in result.changes if change.why == "old version"}
    assert 1 <= len(replaced) <= batch
    for name in replaced:  # in service again
        assert [c.after for c in result.changes if c.backend == name and c.kind == "drain"][-1] == "ready"


def test_a_version_that_is_as_good_is_rarely_rolled_back() -> None:
    """Errors of 2 % in both: `false_alarms` of 20 % in 25 deploys; Fisher's test is below it."""
    rules = RollingDeploy(at=1, settle=0.5, false_alarms=0.2, error_rate=0.02)
    there = servers(3, workers=4, error_rate=0.02)
    base = Experiment(there, policy=Policy(drain=DRAIN), deploy=rules).at_load(0.7).but(duration=8)
    ends = [run(base.but(seed=seed)).extra["deploy"] for seed in range(25)]
    assert set(ends) <= {"done", "rolled back"}
    assert ends.count("rolled back") <= 10


def test_a_deploy_unfinished_at_the_end_of_the_traffic_is_reported() -> None:
    assert run(experiment().but(duration=5)).extra["deploy"] == "running"


def test_it_is_a_part_of_the_file() -> None:
    made = experiment(RollingDeploy(at=3, error_rate=0.5))
    assert Experiment.from_toml(made.to_toml()) == made


# -- blue-green ---------------------------------------------------------------------------------------


def blue_green(green_errors: float = 0.0) -> Experiment:
    """Three blue servers, three green ones, at 70 % load of one colour."""
    blue = servers(3, workers=10)
    green = [Server(f"g{i}", workers=10, error_rate=green_errors) for i in (1, 2, 3)]
    policy = Policy("least_connections", retries=0, drain=DRAIN)
    deploy = BlueGreen(green=("g1", "g2", "g3"), at=4, settle=4)
    return Experiment([*blue, *green], policy=policy, deploy=deploy).at_load(0.7).but(duration=14)


def test_a_blue_green_deploy_loses_nothing() -> None:
    experiment = blue_green()
    assert experiment.capacity == 1500  # green ones serve later
    result = run(experiment)
    assert (result.extra["deploy"], result.error_rate) == ("done", 0)
    for arrival, backend in zip(result.arrival, result.backend, strict=True):
        assert result.backends[backend].startswith("s" if arrival < 4 else "g")


def test_a_green_version_that_fails_is_sent_back_within_seconds() -> None:
    result = run(blue_green(green_errors=0.3))
    assert result.extra["deploy"] == "rolled back"
    failed = [arrival for arrival, s in zip(result.arrival, result.status, strict=True) if s >= 500]
    assert failed
    assert 4 <= min(failed) <= max(failed) < 6
    assert {result.backends[b] for a, b in zip(result.arrival, result.backend, strict=True) if a > 8} == {
        "s1",
        "s2",
        "s3",
    }


def test_what_a_blue_green_deploy_cannot_be() -> None:
    with pytest.raises(ExperimentError, match=r"deploy.green\[0\] is 'g9': use one of s1, s2"):
        Experiment(servers(2), deploy=BlueGreen(green=("g9",)))
    with pytest.raises(ExperimentError, match=r"deploy.green has all servers"):
        Experiment(servers(2), deploy=BlueGreen(green=("s1", "s2")))
    with pytest.raises(ExperimentError, match=r"events\[0\].server is 's2', which the deploy adds"):
        Experiment(servers(2), deploy=BlueGreen(green=("s2",)), events=[Event(1, "drain", "s2")])
    data = {"servers": [{"name": "s1"}], "deploy": {"kind": "rolling", "setle": 3}}
    with pytest.raises(ExperimentError, match=r"deploy: unknown setle; .* did you mean settle\?"):
        Experiment.from_dict(data)


# -- canary -------------------------------------------------------------------------------------------


def canary(errors: float = 0.0, seed: int = 1, algorithm: str = "weighted_round_robin") -> Experiment:
    """Three servers with the old version, three with the new one, at 70 % load of either."""
    new = [Server(f"n{i}", workers=10, error_rate=errors) for i in (1, 2, 3)]
    deploy = Canary(new=("n1", "n2", "n3"), at=4, shares=(0.01, 0.1, 0.5, 1), settle=4)
    policy = Policy(algorithm, retries=0, drain=DRAIN)
    base = Experiment([*servers(3, workers=10), *new], policy=policy, deploy=deploy, seed=seed)
    return base.at_load(0.7).but(duration=24)


@pytest.mark.parametrize("algorithm", ["weighted_round_robin", "weighted_random", "earliest_deadline"])
def test_a_canary_gets_its_share_of_the_traffic_in_each_step_and_nothing_is_lost(algorithm: str) -> None:
    result = run(canary(algorithm=algorithm))
    assert (result.extra["deploy"], result.error_rate) == ("done", 0)
    for begin, share in ((4, 0.01), (8, 0.1), (12, 0.5), (16, 1.0)):
        step = [
            result.backends[b].startswith("n")
            for a, b in zip(result.arrival, result.backend, strict=True)
            if begin + 0.1 < a < begin + 3.9
        ]
        assert sum(step) / len(step) == pytest.approx(share, abs=4 * (share * (1 - share) / len(step)) ** 0.5)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fewer_requests_fail_with_a_canary_than_with_a_blue_green_deploy(seed: int) -> None:
    bad = canary(errors=0.3, seed=seed)
    blue_green = bad.but(deploy=BlueGreen(green=("n1", "n2", "n3"), at=4, settle=4))
    results = [run(bad), run(blue_green)]
    assert [r.extra["deploy"] for r in results] == ["rolled back", "rolled back"]
    failed = [sum(status >= 500 for status in r.status) for r in results]
    assert 0 < 5 * failed[0] < failed[1]


def test_a_canary_needs_an_algorithm_that_goes_by_weight() -> None:
    """Least connections sends an idle server its next request whatever the weight: no share of 1 %."""
    with pytest.raises(
        ExperimentError, match=r"policy.algorithm is 'least_connections', which gives no shares .* use one of"
    ):
        Experiment(servers(2), policy="least_connections", deploy=Canary(new=("s2",)))
    with pytest.raises(ExperimentError, match=r"deploy.new\[0\] is 'n9': use one of s1, s2"):
        Experiment(servers(2), policy="weighted_random", deploy=Canary(new=("n9",)))
    with pytest.raises(ExperimentError, match=r"deploy.new has only servers of weight 0"):
        Experiment([Server("s1"), Server("s2", weight=0)], policy="weighted_random", deploy=Canary(("s2",)))


@pytest.mark.parametrize(
    "deploy", [RollingDeploy(at=2), BlueGreen(green=("s2",), at=2), Canary(new=("s2",), shares=(0.2, 1))]
)
def test_all_kinds_are_a_part_of_the_file(deploy: RollingDeploy | BlueGreen | Canary) -> None:
    made = Experiment(servers(2), policy="weighted_round_robin", deploy=deploy)
    assert Experiment.from_toml(made.to_toml()) == Experiment.from_json(made.to_json()) == made

from __future__ import annotations

from statistics import fmean

import pytest

from lbkit import Constant, Event, Experiment, Policy, Server, run, servers
from lbkit.core.health import BreakerRules, CheckRules, MaxFailsRules, OutlierRules
from lbkit.core.health.watch import HealthRules

CHECKS = CheckRules(interval=1.0, timeout=0.5, fall=3, rise=2)


def experiment(health: HealthRules | None, events=(), duration: float = 30, seed: int = 1) -> Experiment:
    policy = Policy("round_robin", retries=0, health=health)
    fields = {"policy": policy, "events": events, "seed": seed}
    return Experiment(servers(3), **fields).at_load(0.5).but(duration=duration)


def test_a_dead_server_is_found_and_a_recovered_one_comes_back() -> None:
    events = [Event(10, "crash", "s2"), Event(20, "recover", "s2")]
    result = run(experiment(HealthRules(checks=CHECKS), events))
    assert [(c.backend, c.before, c.after) for c in result.changes] == [
        ("s2", "up", "failing"),
        ("s2", "failing", "down"),
        ("s2", "down", "recovering"),
        ("s2", "recovering", "up"),
    ]
    down, up = result.changes[1].at, result.changes[3].at
    assert 10 + 2 <= down <= 10 + CHECKS.longest_detection()
    assert 20 + 1 <= up <= 20 + 2
    failed = result.where(status=502).arrival
    assert len(failed) > 0
    assert min(failed) >= 10
    assert max(failed) <= down  # only until it was found
    assert len(run(experiment(None, events)).where(status=502)) > 2 * len(failed)


def test_detection_time_is_uniform_over_an_interval() -> None:
    """It lies between (fall - 1) and fall intervals, in the mean in the middle."""
    times = []
    for seed in range(60):
        events = [Event(10, "crash", "s1")]
        result = run(experiment(HealthRules(checks=CHECKS), events, seed=seed, duration=15))
        times.append(next(c.at for c in result.changes if c.after == "down") - 10)
    assert min(times) >= 2
    assert max(times) <= 3
    assert fmean(times) == pytest.approx(2.5, abs=4 * (1 / 12**0.5) / 60**0.5)
    assert max(times) - min(times) > 0.8


def test_checks_end_with_the_traffic() -> None:
    health = HealthRules(checks=CHECKS)
    result = run(experiment(health, duration=5))
    assert len(result) > 0
    assert result.changes == ()


def test_a_slow_network_fails_checks() -> None:
    far = [Server("near"), Server("far", delay=0.3)]
    policy = Policy("round_robin", health=HealthRules(checks=CHECKS))
    result = run(Experiment(far, policy=policy).at_load(0.5))
    assert {c.backend for c in result.changes} == {"far"}
    assert result.changes[0].why == "no answer in time"


def test_max_fails_finds_it_by_the_failures_of_users() -> None:
    events = [Event(10, "crash", "s2")]
    health = HealthRules(max_fails=MaxFailsRules(max_fails=3, fail_timeout=10))
    result = run(experiment(health, events, duration=30))
    assert [c.after for c in result.changes[:2]] == ["out", "in"]
    # Three failures, and after its rest one at a time.
    assert len(result.where(status=502)) == 3 + 1


def test_outliers_are_ejected() -> None:
    bad = [*servers(9), Server("bad", error_rate=1.0)]
    rules = OutlierRules(consecutive=5)
    result = run(
        Experiment(bad, policy=Policy("round_robin", health=HealthRules(outliers=rules))).at_load(0.5)
    )
    assert {c.backend for c in result.changes} == {"bad"}
    assert result.counts["bad"] == 5


def test_a_breaker_fails_fast() -> None:
    policy = Policy(retries=0, health=HealthRules(breaker=BreakerRules(consecutive=5, open_for=5)))
    bad = Experiment([Server("s", error_rate=1.0, service=Constant(0.01))], policy=policy).at_load(0.5)
    result = run(bad)
    assert result.changes[0].after == "open"
    assert len(result.where(status=500)) == 5 + 5  # then one probe every 5 s of 30
    assert len(result.where(status=503)) > 100


def test_several_balancers_check_each_for_itself() -> None:
    health = HealthRules(checks=CHECKS)
    policy = Policy("round_robin", balancers=4, health=health)
    result = run(Experiment(servers(3), policy=policy, events=[Event(10, "crash", "s1")]).at_load(0.5))
    assert sum(c.after == "down" for c in result.changes) == 4


def test_a_server_that_joins_is_checked() -> None:
    events = [Event(5, "add", "s3"), Event(10, "crash", "s3")]
    result = run(experiment(HealthRules(checks=CHECKS), events))
    assert [c.after for c in result.changes] == ["failing", "down"]


def test_the_rules_go_through_files() -> None:
    health = HealthRules(checks=CHECKS, outliers=OutlierRules(), breaker=BreakerRules(), max_in_flight=7)
    before = experiment(health)
    assert Experiment.from_toml(before.to_toml()) == before
    assert run(Experiment.from_json(before.to_json())).mean == run(before).mean

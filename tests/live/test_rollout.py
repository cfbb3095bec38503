"""Deploys of real servers under load: no failed request, on our proxy and on real programs."""

from __future__ import annotations

from itertools import pairwise

import pytest
from needs import need, need_module

need_module("locust")
need_module("uvicorn")

from lbkit import BlueGreen, Canary, DrainRules, Experiment, Policy, RollingDeploy, Server, run, servers
from lbkit.distributions import Exponential
from lbkit.history import By
from lbkit.live import LiveSession
from lbkit.result import Result
from lbkit.run import EngineError

pytestmark = pytest.mark.live

RULES = RollingDeploy(at=1, settle=0.5)


def experiment(
    rules: RollingDeploy = RULES, drain: DrainRules | None = None, duration: float = 16
) -> Experiment:
    """Three servers at 70 % load, and no retry, as for requests that must not be sent twice."""
    there = servers(3, workers=6, service=Exponential(0.1))
    policy = Policy("least_connections", retries=0, drain=drain)
    return Experiment(there, policy=policy, deploy=rules).at_load(0.7).but(duration=duration)


def replaced(result) -> list[str]:
    return [c.backend for c in result.changes if c.kind == "deploy" and c.why == "new version"]


def test_a_rolling_deploy_at_70_percent_load_loses_nothing_and_a_plain_restart_does() -> None:
    rolling = run(experiment(drain=DrainRules(timeout=10)), on="live")
    assert (rolling.extra["deploy"], rolling.extra["faults"]) == ("done", [])
    assert replaced(rolling) == ["s1", "s2", "s3"]
    assert rolling.error_rate == 0
    for name in rolling.backends:
        drains = [c.after for c in rolling.changes if c.backend == name and c.kind == "drain"]
        assert drains == ["draining", "drained", "stopped", "ready"]
    plain = run(experiment(RollingDeploy(at=1, settle=0.5, drain=False)), on="live")
    assert plain.extra["deploy"] == "done"
    assert sum(status >= 500 for status in plain.status) > 10


@pytest.mark.parametrize("program", ["haproxy", "nginx"])
def test_the_same_deploy_before_real_programs(program: str) -> None:
    need(program)
    result = run(experiment(), on=program)
    assert (result.extra["deploy"], result.extra["faults"]) == ("done", [])
    assert replaced(result) == ["s1", "s2", "s3"]
    assert result.error_rate == 0


def test_a_version_that_fails_is_rolled_back() -> None:
    rules = RollingDeploy(at=1, settle=1, error_rate=0.3)
    result = run(experiment(rules, duration=8), on="live")
    assert result.extra["deploy"] == "rolled back"
    assert replaced(result) == ["s1"]
    assert result.changes[-1].after == "serving"
    assert 0 < sum(status == 500 for status in result.status) < 0.2 * len(result)


def test_containers_have_no_deploy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.live.session.require", lambda on: None)  # whether there is Docker or not
    with pytest.raises(EngineError, match="containers keep their version here"):
        LiveSession(experiment(), on="docker")


@pytest.mark.parametrize("engine", ["live", "haproxy", "nginx"])
def test_a_blue_green_deploy_loses_nothing(engine: str) -> None:
    if engine != "live":
        need(engine)
    policy = Policy("least_connections", retries=0)
    deploy = BlueGreen(green=("s3", "s4"), at=2, settle=2)
    base = Experiment(servers(4, workers=6, service=Exponential(0.1)), policy=policy, deploy=deploy)
    result = run(base.at_load(0.7).but(duration=9), on=engine)
    assert (result.extra["deploy"], result.extra["faults"]) == ("done", [])
    assert result.error_rate == 0
    settled = taken_effect(result, 2, 9)
    late = {b for a, b in zip(result.arrival, result.backend, strict=True) if a > settled + 0.5}
    assert {result.backends[b] for b in late} == {"s3", "s4"}


def taken_effect(result: Result, begin: float, end: float) -> float:
    """Return when a step between these seconds had taken effect: each change is a reload of nginx, which a
    busy machine may delay."""
    return max(c.at for c in result.history if c.by is By.DEPLOY and begin <= c.at < end)


def canary(errors: float = 0.0) -> Experiment:
    """Two servers with the old version, two with the new one, at 70 % load of either."""
    old = servers(2, workers=6, service=Exponential(0.05))
    new = [Server(f"n{i}", workers=6, service=Exponential(0.05), error_rate=errors) for i in (1, 2)]
    deploy = Canary(new=("n1", "n2"), at=1, shares=(0.1, 0.5, 1), settle=2)
    policy = Policy("weighted_round_robin", retries=0)
    return Experiment([*old, *new], policy=policy, deploy=deploy).at_load(0.7).but(duration=9)


@pytest.mark.parametrize("engine", ["live", "haproxy", "nginx"])
def test_a_canary_gets_its_share_of_the_traffic_in_each_step(engine: str) -> None:
    if engine != "live":
        need(engine)
    result = run(canary(), on=engine)
    assert (result.extra["deploy"], result.extra["faults"]) == ("done", [])
    assert result.error_rate == 0
    steps = [(c.at, c.after) for c in result.changes if c.backend == "n1"]
    assert [after for _, after in steps] == ["0.1 of traffic", "0.5 of traffic", "serving"]
    edges = [*(at for at, _ in steps), 9]
    for (begin, end), share in zip(pairwise(edges), (0.1, 0.5, 1.0), strict=True):
        settled = taken_effect(result, begin, end)
        step = [
            result.backends[b].startswith("n")
            for a, b in zip(result.arrival, result.backend, strict=True)
            if settled + 0.3 < a < end - 0.1
        ]
        assert sum(step) / len(step) == pytest.approx(share, abs=0.08)


def test_a_canary_that_fails_is_sent_back() -> None:
    result = run(canary(errors=0.6), on="live")
    assert result.extra["deploy"] == "rolled back"
    assert [c for c in result.changes if c.backend == "s1" and c.kind == "deploy"] == []
    late = {b for a, b in zip(result.arrival, result.backend, strict=True) if a > 6}
    assert {result.backends[b] for b in late} == {"s1", "s2"}
    assert 0 < sum(status == 500 for status in result.status) < 0.2 * len(result)

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

import pytest

from lbkit import Backend, Experiment, ExperimentError, Policy, Traffic, presets, run, servers
from lbkit.workload import stream

SMALL = Experiment(servers(4), Traffic(duration=5)).at_load(0.5)
CHOICES = {
    name: re.findall(r'^        "([\w-]+)": ', inspect.getsource(system), re.MULTILINE) or [None]
    for name, system in presets.SYSTEMS.items()
}
EVERY = [(name, which) for name, names in CHOICES.items() for which in names]


@pytest.mark.parametrize(("name", "which"), EVERY)
def test_every_preset_runs(name: str, which: str | None) -> None:
    system = presets.SYSTEMS[name]
    policy = system(which) if which else system()
    assert run(SMALL.but(policy=policy)).error_rate == 0
    assert Experiment.from_toml(SMALL.but(policy=policy).to_toml()).policy == policy


@pytest.mark.parametrize(
    ("policy", "algorithm"),
    [
        (presets.nginx(), "weighted_round_robin"),
        (presets.haproxy(), "haproxy_random"),
        (presets.apache(), "weighted_round_robin"),
        (presets.envoy(), "earliest_deadline"),
        (presets.traefik(), "earliest_deadline"),
        (presets.caddy(), "random"),
        (presets.aws_alb(), "round_robin"),
        (presets.aws_nlb(), "cross_zone"),
        (presets.aws_gwlb(), "cross_zone"),
    ],
)
def test_the_defaults(policy: Policy, algorithm: str) -> None:
    assert policy.algorithm == algorithm


def test_each_names_its_sources() -> None:
    assert all("https://" in (system.__doc__ or "") for system in presets.SYSTEMS.values())


def test_envoy() -> None:
    policy = presets.envoy("least_request_weighted", slow_start=60)
    assert policy.panic == 0.5
    assert policy.slow_start
    assert (policy.slow_start.window, policy.slow_start.aggression, policy.slow_start.floor) == (60, 1, 0.1)
    assert presets.envoy().slow_start is None
    assert Experiment.from_json(SMALL.but(policy=policy).to_json()).policy == policy
    with pytest.raises(ExperimentError, match=r"policy\.slow_start.*window"):
        Experiment.from_dict({"servers": [{"name": "a"}], "policy": {"slow_start": {"window": -1}}})


def test_what_there_is_not() -> None:
    with pytest.raises(ValueError, match="nginx has no 'sticky': there are round_robin, least_conn"):
        presets.nginx("sticky")
    with pytest.raises(ValueError, match="slow_start is 10: ALB takes 0"):
        presets.aws_alb(slow_start=10)
    with pytest.raises(ValueError, match="only with round_robin"):
        presets.aws_alb("weighted_random", slow_start=60)


@pytest.mark.parametrize("system", [presets.aws_nlb, presets.aws_gwlb])
@pytest.mark.parametrize("cross_zone", [False, True])
def test_a_flow_sticks_to_its_target(system: Callable[[bool], Policy], cross_zone: bool) -> None:
    backends = [Backend(f"b{i}", zone="xyz"[i % 3]) for i in range(9)]
    pool = system(cross_zone).pool(backends, lambda name: stream(1, name))
    flows = [f"tcp 10.0.0.{i}:40000 10.1.0.1:80" for i in range(200)]
    first = [pool.take(flow, 0.0) for flow in flows]
    assert [pool.take(flow, 1.0) for flow in flows] == first
    assert {b.name for b in first} == {b.name for b in backends}


def test_nlb_is_uneven_by_zone_unless_it_crosses() -> None:
    uneven = Experiment(
        [*servers(2, zone="x"), *(s for s in servers(10, zone="y")[2:])], Traffic(duration=60), seed=2
    ).at_load(0.3)
    off, on = (run(uneven.but(policy=presets.aws_nlb(cross_zone=across))) for across in (False, True))
    assert off.shares["s1"] == pytest.approx(0.25, abs=0.03)
    assert on.shares["s1"] == pytest.approx(0.10, abs=0.03)

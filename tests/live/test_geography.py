"""Requests that travel, on real sockets."""

import pytest
from needs import need
from places import CLIENTS, REGIONS, WORK, expected, experiment

from lbkit import EngineError, Geography, Poisson, run
from lbkit.live.assembly import check

pytestmark = pytest.mark.live
# Servers make up for late timers by shorter work, and no clock is exact; the way takes no less.
SLACK = WORK + 0.002


@pytest.mark.parametrize("balancer", ["", "us"])
def test_live_equals_the_simulation(balancer: str) -> None:
    world = Geography(REGIONS, CLIENTS, balancer)
    setting = experiment(world, world.policy(), arrivals=Poisson(30), duration=3)
    simulated, measured = run(setting), run(setting, on="live")
    assert measured.counts == simulated.counts
    for client, backend, latency in zip(measured.client, measured.backend, measured.latency, strict=True):
        assert latency > expected(client, measured.backends[backend], world) - SLACK
    # Most requests come on time, even on a busy machine.
    assert abs(measured.percentile(50) - simulated.percentile(50)) < 0.1


def test_containers_do_not_know_how_far_away_they_are() -> None:
    with pytest.raises(EngineError, match="geography: containers"):
        check(experiment(), "docker")


@pytest.mark.parametrize("program", ["nginx", "haproxy"])
def test_servers_of_other_programs_are_as_far_away(program: str) -> None:
    need(program)
    measured = run(experiment(policy="round_robin", arrivals=Poisson(30), duration=2), on=program)
    assert len(measured) > 30
    for client, backend, latency in zip(measured.client, measured.backend, measured.latency, strict=True):
        assert latency > expected(client, measured.backends[backend]) - SLACK

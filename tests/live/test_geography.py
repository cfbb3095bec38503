"""Requests that travel, on real sockets."""

import pytest

from lbkit import Geography, Poisson, run
from tests.test_geography import CLIENTS, REGIONS, expected, experiment


@pytest.mark.parametrize("balancer", ["", "us"])
def test_live_equals_the_simulation(balancer: str) -> None:
    world = Geography(REGIONS, CLIENTS, balancer)
    setting = experiment(world, world.policy(), arrivals=Poisson(30), duration=3)
    simulated, measured = run(setting), run(setting, on="live")
    assert measured.counts == simulated.counts
    for client, backend, latency in zip(measured.client, measured.backend, measured.latency, strict=True):
        assert latency > expected(client, measured.backends[backend], world) - 0.002
    # Most requests come on time, even on a busy machine.
    assert abs(measured.percentile(50) - simulated.percentile(50)) < 0.05

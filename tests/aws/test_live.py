"""ALB and NLB on real sockets: the same requests go to the same targets as in the simulator."""

from __future__ import annotations

import pytest
from needs import need_module

from lbkit import Constant, Poisson, Server, aws, run, servers
from lbkit.core.routing import Redirect, Rule, ToPool, When

pytestmark = pytest.mark.live
need_module("locust")


def test_an_alb_routes_and_takes_turns_as_simulated() -> None:
    rules = {
        10: Rule("api", ToPool("api"), When(prefix=("/api",))),
        20: Rule("old", Redirect("https://{host}/new{rest}", 301), When(prefix=("/old",))),
    }
    groups = {"default": servers(2, service=Constant(0.001)), "api": [Server("a1", service=Constant(0.001))]}
    experiment = aws.alb(groups, aws.listener(rules)).but(arrivals=Poisson(60), duration=3)
    simulated, measured = run(experiment), run(experiment, on="live")
    assert measured.counts == simulated.counts
    assert measured.status == simulated.status
    assert {change.backend for change in measured.changes if change.after == "up"} == {"s1", "s2", "a1"}


def test_an_nlb_keeps_the_shares_of_zones() -> None:
    targets = [Server("x1", zone="x"), *(Server(f"y{i}", zone="y") for i in range(4))]
    quick = [Server(one.name, zone=one.zone, service=Constant(0.001)) for one in targets]
    experiment = aws.nlb(quick, connections="request").but(arrivals=Poisson(80), duration=4)
    result = run(experiment, on="live")
    assert result.error_rate == 0
    assert (
        0.3 < result.shares["x1"] < 0.7
    )  # of 320 flows: a share of a half is 7 deviations away from both bounds

"""Content switching on real processes: the same rules, the same pools as in the simulator."""

from __future__ import annotations

import pytest
from needs import need_feature

need_feature("live")

from lbkit import Constant, Experiment, Poisson, RequestKind, Server, Traffic, run
from lbkit.core.routing import Redirect, Routing, Rule, Split, ToPool, When

pytestmark = pytest.mark.live

QUICK = Constant(0.001)
EXPERIMENT = Experiment(
    (
        Server("w1", service=QUICK),
        Server("a1", service=QUICK, pool="api"),
        Server("c1", service=QUICK, pool="canary"),
    ),
    Traffic(
        Poisson(80),
        duration=4.0,
        clients=2000,
        mix=(
            RequestKind("page", 6, path="/shop"),
            RequestKind("api", 3, path="/api", method="POST", headers={"X-Beta": "1"}),
            RequestKind("old", 1, path="/old", host="old.example.org"),
        ),
    ),
    routing=Routing(
        (
            Rule("api", ToPool("api"), When(prefix=("/api",), method=("POST",), header={"X-Beta": "*"})),
            Rule("old", Redirect("/shop{query}"), When(host=("*.example.org",))),
            Rule("canary", Split({"default": 80, "canary": 20})),
        )
    ),
)


def test_the_proxy_decides_about_each_request_as_the_simulator_does() -> None:
    live, simulated = run(EXPERIMENT, on="live"), run(EXPERIMENT)
    assert live.error_rate == 0
    assert live.by_rule() == simulated.by_rule()
    assert live.by_pool() == simulated.by_pool()
    decided = [sorted(zip(r.arrival, r.rule, r.backend, strict=True)) for r in (live, simulated)]
    assert decided[0] == decided[1]

"""A chain of services on real sockets does what it does in virtual time."""

from __future__ import annotations

import pytest
from needs import need_feature

need_feature("live")

from lbkit import (
    AttemptTimeouts,
    BreakerRules,
    Constant,
    Event,
    Experiment,
    Fallback,
    HealthRules,
    Poisson,
    Policy,
    Retry,
    Traffic,
    servers,
)
from lbkit.call_chain import CallChain, run_chain

pytestmark = pytest.mark.live


def test_errors_and_fallbacks_reach_the_first_service_as_in_the_simulator() -> None:
    breaker = HealthRules(breaker=BreakerRules(consecutive=3, open_for=60))
    rules = Retry(timeouts=AttemptTimeouts(total=0.3), fallback=Fallback("empty"))
    web = Experiment(
        servers(1, workers=20, service=Constant(0.005)), Traffic(Poisson(25), 4, paths=1000), name="web"
    )
    database = Experiment(
        servers(1, workers=20, service=Constant(0.005)),
        policy=Policy("round_robin", retries=0, retry=rules, health=breaker),
        events=[Event(1.5, "crash", "s1")],
        name="db",
    )
    chain = CallChain([web, database], share=0.5)
    live, simulated = run_chain(chain, on="live"), run_chain(chain)
    assert live["web"].status == simulated["web"].status  # a fallback is as good as an answer
    assert set(live["web"].status) == {200}
    assert len(live["db"]) == len(simulated["db"])
    assert live["db"].attempt_counts["fallbacks"] > 0
    assert live["db"].faults == ()

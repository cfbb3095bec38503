from __future__ import annotations

import pytest
from needs import need_module

need_module("locust")
need_module("uvicorn")

from lbkit import (
    AttemptTimeouts,
    Constant,
    Event,
    Experiment,
    Hedge,
    Policy,
    Retry,
    RetryBudgetRules,
    Trace,
    Traffic,
    run,
    servers,
)
from lbkit.live import PeerError, render

pytestmark = pytest.mark.live


def slowed(policy: Policy) -> Experiment:
    """One of three servers takes 50 times as long as the others, from the first second on."""
    fleet = servers(3, service=Constant(0.01), workers=20)
    small = Experiment(fleet, policy=policy, events=[Event(1, "slow", "s2", 0.02)])
    return small.but(duration=5).at_load(0.01)


@pytest.mark.parametrize(
    ("rules", "count"),
    [
        (Retry(timeouts=AttemptTimeouts(first_byte=0.15)), "attempt_timeouts"),
        (Retry(hedge=Hedge(0.15), budget=RetryBudgetRules(1.0, 10.0, 5.0)), "hedges_won"),
    ],
)
def test_a_slow_server_costs_what_the_rules_say_as_in_the_simulator(rules: Retry, count: str) -> None:
    plain = run(slowed(Policy("round_robin")))
    assert plain.percentile(95) > 0.4
    for engine in ("sim", "live"):
        result = run(slowed(Policy("round_robin", retry=rules)), on=engine)
        assert result.error_rate == 0
        assert result.attempt_counts[count] > 5
        assert result.percentile(95) < 0.4
        assert max(result.attempts) == 2
        happened = result.attempt_events
        assert len(happened) == sum(result.attempt_counts.values())
        assert [event.at for event in happened] == sorted(event.at for event in happened)
        assert min(event.at for event in happened) > 1  # when the server became slow
        assert "s2" in {event.backend for event in happened}


def test_work_on_attempts_that_the_proxy_gave_up_is_wasted_as_in_the_simulator() -> None:
    fleet = servers(2, service=Constant(0.5), workers=4)
    policy = Policy("round_robin", retry=Retry(timeouts=AttemptTimeouts(total=0.2)))
    experiment = Experiment(fleet, Traffic(Trace([0.2, 0.8, 1.5]), 3), policy)
    simulated, measured = run(experiment), run(experiment, on="live")
    assert len(simulated.wasted) == len(measured.wasted) == 6
    for theirs, ours in zip(simulated.wasted, measured.wasted, strict=True):
        assert (ours.backend, ours.answered) == (theirs.backend, True)
        assert ours.start == pytest.approx(theirs.start, abs=0.2)


def test_the_programs_say_that_they_have_no_rules_for_attempts() -> None:
    experiment = Experiment(servers(2), policy=Policy("round_robin", retry=Retry(deadline=5.0)))
    for program in ("nginx", "haproxy", "apache", "caddy"):
        with pytest.raises(PeerError, match=f"{program} has no policy.retry here: use lbkit's proxy"):
            render(experiment, program)

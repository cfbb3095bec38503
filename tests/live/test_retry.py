from __future__ import annotations

import pytest
from needs import need, need_module

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
    Server,
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
        (Retry(timeouts=AttemptTimeouts(first_byte=0.3)), "attempt_timeouts"),
        (Retry(hedge=Hedge(0.3), budget=RetryBudgetRules(1.0, 10.0, 5.0)), "hedges_won"),
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
    fleet = servers(2, service=Constant(1.2), workers=4)
    policy = Policy("round_robin", retry=Retry(timeouts=AttemptTimeouts(total=0.5)))
    experiment = Experiment(fleet, Traffic(Trace([0.2, 0.8, 1.5]), 4), policy)
    simulated, measured = run(experiment), run(experiment, on="live")
    assert len(simulated.wasted) == len(measured.wasted) == 6
    for theirs, ours in zip(simulated.wasted, measured.wasted, strict=True):
        assert (ours.backend, ours.answered) == (theirs.backend, True)
        assert ours.start == pytest.approx(theirs.start, abs=0.25)


@pytest.mark.parametrize("program", ["nginx", "haproxy"])
def test_a_program_gives_up_an_attempt_without_a_first_byte(program: str) -> None:
    need(program)
    rules = Retry(timeouts=AttemptTimeouts(connect=1.0, first_byte=0.3))
    result = run(slowed(Policy("round_robin", retry=rules)), on=program)
    assert result.error_rate < 0.02  # a busy machine may let both attempts wait
    late = result.where(arrival=lambda t: t > 1.2)
    assert late.counts["s2"] == 0  # it takes half a second
    assert len(late) > 100
    assert any("first byte" in note for note in result.notes)


@pytest.mark.parametrize("program", ["nginx", "haproxy"])
def test_a_program_retries_after_a_status(program: str) -> None:
    need(program)
    fleet = [Server("bad", service=Constant(0.01), error_rate=1.0), Server("good", service=Constant(0.01))]
    plain = Experiment(fleet, Traffic(duration=1), Policy("round_robin")).at_load(0.2)
    again = plain.but(policy=Policy("round_robin", retry=Retry(statuses=(500,))))
    assert run(plain, on=program).error_rate == pytest.approx(0.5, abs=0.05)
    assert run(again, on=program).error_rate == 0


@pytest.mark.parametrize(
    ("program", "rules", "message"),
    [
        (
            "nginx",
            Retry(deadline=5.0),
            "nginx has no retry.deadline here: use lbkit's proxy, or leave it out",
        ),
        ("haproxy", Retry(hedge=Hedge(0.1)), "haproxy has no retry.hedge here"),
        ("caddy", Retry(timeouts=AttemptTimeouts(first_byte=1.0)), "caddy has no retry.timeouts.first_b"),
        (
            "apache",
            Retry(timeouts=AttemptTimeouts(first_byte=1.0)),
            "apache has no retry.timeouts.first_byte",
        ),
        ("caddy", Retry(statuses=(503,)), "caddy cannot retry after status 503 here: use lbkit's proxy"),
        (
            "nginx",
            Retry(statuses=(501,)),
            "cannot retry after status 501 here: it retries after 403, 404, 429,",
        ),
    ],
)
def test_a_program_refuses_the_rules_that_it_does_not_have(program: str, rules: Retry, message: str) -> None:
    with pytest.raises(PeerError, match=message):
        render(Experiment(servers(2), policy=Policy("round_robin", retry=rules)), program)


def test_on_layer_4_there_is_a_limit_for_the_connection_only() -> None:
    def retry(rules: Retry) -> Experiment:
        return Experiment(servers(2), policy=Policy("round_robin", retry=rules))

    text = render(retry(Retry(timeouts=AttemptTimeouts(connect=0.25))), "nginx", layer=4)
    assert "proxy_connect_timeout 250ms;" in text
    with pytest.raises(PeerError, match="haproxy on layer 4 cannot retry after status 503 here"):
        render(retry(Retry(statuses=(503,))), "haproxy", layer=4)

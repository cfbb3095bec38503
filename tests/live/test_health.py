from __future__ import annotations

import pytest
from needs import need_module

need_module("locust")
need_module("uvicorn")

from lbkit import DrainRules, Event, Experiment, Policy, run, servers
from lbkit.core.health import CheckRules, HealthRules, MaxFailsRules
from lbkit.live import PeerError, render

pytestmark = pytest.mark.live

CHECKS = CheckRules(interval=0.4, timeout=0.4, rise=2, fall=2)


def experiment(health: HealthRules, retries: int = 1, **fields) -> Experiment:
    events = [Event(1, "crash", "s2"), Event(3, "recover", "s2")]
    policy = Policy("round_robin", retries=retries, health=health)
    small = Experiment(servers(3), policy=policy, events=events, **fields)
    return small.at_load(0.3).but(duration=6)


def test_checks_find_a_killed_server_and_take_it_back_as_in_the_simulator() -> None:
    health = HealthRules(checks=CHECKS)
    longer = experiment(health).but(duration=9)  # on a busy machine a process takes seconds to start
    simulated, live = run(longer), run(longer, on="live")
    for result in (simulated, live):
        assert [(c.backend, c.after) for c in result.changes] == [
            ("s2", "failing"),
            ("s2", "down"),
            ("s2", "recovering"),
            ("s2", "up"),
        ]
        assert result.error_rate == 0  # GETs that met it were sent elsewhere
        down = result.changes[1].at
        assert 1 < down < 1 + CHECKS.longest_detection() + 1  # a second for a busy machine
        back = result.changes[3].at
        late = [b for a, b in zip(result.arrival, result.backend, strict=True) if down < a < min(3, back)]
        assert result.backends.index("s2") not in late
        (found,) = result.detections
        assert (found.server, found.found, found.by, found.failed) == ("s2", down, "check", 0)
        most = CHECKS.probe_rate(3)
        assert most / 2 < result.probe_rate <= most * 1.1  # a busy machine sends fewer
    assert live.changes[1].why == "connection refused"  # the check before may have met the kill itself


def test_passive_rules_need_no_probes() -> None:
    health = HealthRules(max_fails=MaxFailsRules(max_fails=1, fail_timeout=1.5))
    result = run(experiment(health), on="live")
    assert [c.after for c in result.changes][:2] == ["out", "in"]
    assert result.probes == 0
    assert result.error_rate == 0


def test_programs_without_a_time_limit_of_drains_say_so() -> None:
    drained = Experiment(servers(2), policy=Policy("round_robin", drain=DrainRules()))
    for program in ("apache", "caddy"):
        with pytest.raises(PeerError, match=f"{program} drains without a time limit here: use lbkit's proxy"):
            render(drained, program)

"""Chaos and impatient clients on real processes, as in the simulator."""

from __future__ import annotations

import pytest
from needs import need_feature, need_module

need_module("locust")
need_module("uvicorn")

from lbkit import Closed, Constant, Event, Experiment, Policy, Result, Server, Trace, Traffic, run, servers
from lbkit.core.health import CheckRules, HealthRules, Probe
from lbkit.live import render
from lbkit.patience import Backoff, Patience
from lbkit.server import DISCIPLINES

pytestmark = pytest.mark.live

BUSY = 1.0  # seconds that a busy machine may add
CHECKS = CheckRules(interval=0.5, timeout=0.5, fall=2, rise=2)
DEEP = CheckRules(interval=0.5, timeout=0.5, fall=2, rise=2, probe=Probe(path="/health/detail"))


def live(*events: Event, health: HealthRules | None = None, panic: float = 0.0, **traffic) -> Result:
    policy = Policy("round_robin", retries=0, health=health, panic=panic)
    three = servers(3, dependencies={"database": 0.3})
    experiment = Experiment(three, policy=policy, events=events).at_load(0.2)
    return run(experiment.but(**{"duration": 4, "patience": Patience(timeout=1.0), **traffic}), on="live")


def test_checks_detect_a_stopped_process_and_its_return() -> None:
    result = live(
        Event(1, "hang", "s2"), Event(3, "recover", "s2"), health=HealthRules(checks=CHECKS), duration=5
    )
    assert result.faults == ()
    assert [(c.backend, c.after) for c in result.changes] == [
        ("s2", "failing"),
        ("s2", "down"),
        ("s2", "recovering"),
        ("s2", "up"),
    ]
    assert result.changes[0].why == "no answer in time"
    found = result.changes[1].at
    assert 1 < found <= 1 + CHECKS.longest_detection(hangs=True) + BUSY
    unanswered = result.where(status=0)
    assert len(unanswered) > 0
    assert max(unanswered.arrival) <= found + 0.1
    assert max(unanswered.latency) < 1.0 + BUSY  # clients left
    assert len(result.wasted) > 0  # what the process did when it went on


def test_a_deep_check_finds_a_broken_dependency() -> None:
    broken = Event(1, "fail_dependency", "s2", dependency="database")
    mended = Event(2.7, "restore_dependency", dependency="database")
    result = live(broken, mended, health=HealthRules(checks=DEEP), duration=5)
    assert [(c.backend, c.after) for c in result.changes] == [
        ("s2", "failing"),
        ("s2", "down"),
        ("s2", "recovering"),
        ("s2", "up"),
    ]
    assert result.changes[0].why == "status 503"
    assert live(broken, health=HealthRules(checks=CHECKS)).changes == ()


def test_a_shared_dependency_takes_every_server_out_and_panic_keeps_them() -> None:
    broken = Event(1, "fail_dependency", dependency="database")

    def errors(result: Result) -> float:
        late = result.where(arrival=lambda at: at > 3)
        return sum(status != 200 for status in late.status) / len(late)

    assert errors(live(broken, health=HealthRules(checks=DEEP))) == 1
    assert errors(live(broken, health=HealthRules(checks=DEEP), panic=0.5)) == pytest.approx(0.3, abs=0.2)


def test_lost_requests_and_errors_for_some_clients_are_those_of_the_simulator() -> None:
    policy = Policy("modulo_hash", retries=0)  # by client: on a busy machine two requests may change places
    events = [Event(0, "lose", "s1", 0.3), Event(0, "fail", "s2", 0.3)]
    traffic = Traffic(Trace([0.5 + i / 50 for i in range(100)]), 4, patience=Patience(timeout=1.0))
    experiment = Experiment(servers(3, service=Constant(0.001)), traffic, policy, events)
    simulated, real = run(experiment), run(experiment, on="live")
    assert real.faults == ()
    assert list(real.status) == list(simulated.status)
    assert {0, 200, 500} == set(real.status)


def test_a_delay_is_added_by_the_processes_and_said() -> None:
    result = live(Event(0.0, "delay", "s1", 0.2), Event(3.0, "recover", "s1"))
    slow = result.where(backend="s1", arrival=lambda at: 0.5 < at < 2.5)
    assert min(slow.latency) >= 0.4
    assert "delay: server processes wait" in result.notes[0]


@pytest.mark.parametrize("discipline", DISCIPLINES)
def test_clients_leave_and_try_again_as_in_the_simulator(discipline: str) -> None:
    """The request takes 0.7 s, and each of three tries waits 0.5 s for it, with pauses between them."""
    paused = Patience(timeout=0.5, retries=2, backoff=Backoff(base=0.3, cap=0.6, jitter="none"))
    traffic = Traffic(Trace([0.3]), 3, patience=paused)
    for cancels in (False, True):
        server = Server("s", workers=4, service=Constant(0.7), cancels=cancels, discipline=discipline)
        experiment = Experiment([server], traffic, Policy(retries=0))
        simulated, real = run(experiment), run(experiment, on="live")
        assert list(real.status) == list(simulated.status) == [0]
        assert list(real.end) == pytest.approx(list(simulated.end), abs=0.25)
        assert real.resent == pytest.approx(simulated.resent, abs=0.25)
        assert [w.answered for w in real.wasted] == [not cancels] * 3
        for mine, theirs in zip(real.wasted, simulated.wasted, strict=True):
            assert mine.start == pytest.approx(theirs.start, abs=0.25)
            assert mine.service == pytest.approx(theirs.service, abs=0.15)
        assert real.goodput == 0
        assert real.throughput == simulated.throughput


def test_users_of_a_closed_loop_try_again() -> None:
    server = Server("s", workers=4, service=Constant(0.001), error_rate=0.5)
    traffic = Traffic(Closed(4, 0.05), 3, patience=Patience(timeout=1.0, retries=20))
    result = run(Experiment([server], traffic, Policy(retries=0)), on="live")
    assert result.error_rate == 0
    assert len(result.resent) == pytest.approx(len(result), rel=0.5)


@pytest.mark.parametrize("program", ["nginx", "haproxy", "apache", "caddy"])
def test_programs_hang_up_on_servers_when_clients_leave_or_say_that_they_do_not(program: str) -> None:
    need_feature(program)
    server = Server("s", workers=8, service=Constant(0.9))
    traffic = Traffic(Trace([0.2, 0.5, 0.8]), 2, patience=Patience(timeout=0.5))
    experiment = Experiment([server], traffic, Policy(retries=0))
    result = run(experiment, on=program)
    assert list(result.status) == [0, 0, 0]
    waits = program == "apache"
    assert len(result.wasted) == (0 if waits else 3)
    assert any("when a client has left" in note for note in result.notes) == waits
    patient = experiment.but(patience=None)
    assert "abortonclose" not in render(patient, program)
    assert ("abortonclose" in render(experiment, program)) == (program == "haproxy")

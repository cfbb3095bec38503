"""Each kind of trouble is found where it was put, and nothing where there is none."""

from __future__ import annotations

from functools import cache

import pytest

from benchmarks import drills
from lbkit import Closed, Event, Experiment, Policy, Result, Server, Traffic, run, servers
from lbkit.alerts import INCIDENTS, SERVICE, Injected
from lbkit.alerts.injected import HOUR
from lbkit.core.health import CheckRules, HealthRules, Probe
from lbkit.diagnosis import Diagnosis, diagnose
from lbkit.diagnosis.windows import Windows

QUIET = Experiment(servers(4), policy="least_connections").at_load(0.6).but(duration=120)
BAD = (40.0, 80.0)


def during(action: str, *names: str, value: float | None = None) -> list[Event]:
    values = () if value is None else (value,)
    begun = [Event(BAD[0], action, name, *values) for name in names]
    return [*begun, *(Event(BAD[1], "recover", name) for name in names)]


def flapping() -> Experiment:
    probe = Probe(path="/health/detail")
    checks = CheckRules(interval=1.0, timeout=0.5, fall=1, rise=1, probe=probe)
    fleet = servers(4, dependencies={"statistics": 0.0})
    events = [
        Event(at + later, action, "s2", dependency="statistics")
        for at in (20, 40, 60, 80)
        for later, action in ((0, "fail_dependency"), (2, "restore_dependency"))
    ]
    policy = Policy("least_connections", health=HealthRules(checks=checks))
    return Experiment(fleet, policy=policy, events=events).at_load(0.4).but(duration=120)


def checked(*events: Event) -> Experiment:
    health = HealthRules(checks=CheckRules(interval=1.0, timeout=0.5))
    return QUIET.but(policy=Policy("least_connections", health=health), events=events).at_load(0.4)


TROUBLES: dict[str, tuple[Experiment, set[tuple[str, str]]]] = {
    "overload": (QUIET.at_load(1.2), {("overload", "")}),
    "slow": (QUIET.but(events=during("slow", "s2", value=0.3)), {("slow server", "s2")}),
    "slow, in turns": (
        QUIET.but(policy="round_robin", events=during("slow", "s2", value=0.3)),
        {("slow server", "s2"), ("saturated server", "s2"), ("unfair split", "s2")},
    ),
    "errors": (QUIET.but(events=during("fail", "s2", value=0.5)), {("failing server", "s2")}),
    "few errors": (QUIET.but(events=during("fail", "s2", value=0.1)), {("failing server", "s2")}),
    "down": (checked(*during("crash", "s3")), {("server down", "s3")}),
    "outage": (QUIET.but(events=during("crash", "s1", "s2", "s3", "s4")), {("outage", "")}),
    "unequal, in turns": (
        Experiment([Server("old", speed=0.4), Server("b"), Server("c")], policy="round_robin")
        .at_load(0.6)
        .but(duration=60),
        {("saturated server", "old"), ("unfair split", "old")},
    ),
    "storm": (drills.storm(False), {("retry storm", ""), ("outage", "")}),
    "flapping": (flapping(), {("flapping check", "s2")}),
    "closed loop": (
        Experiment(
            servers(2),
            Traffic(Closed(10, think=0.2), duration=60),
            "round_robin",
            [Event(20, "hang", s) for s in ("s1", "s2")] + [Event(28, "recover", s) for s in ("s1", "s2")],
        ),
        {("coordinated omission", "")},
    ),
}


@cache
def found(name: str) -> tuple[Result, Diagnosis]:
    result = run(TROUBLES[name][0])
    return result, diagnose(result)


@pytest.mark.parametrize("name", TROUBLES)
def test_each_trouble_is_found_and_no_other(name: str) -> None:
    _, diagnosis = found(name)
    assert {(finding.name, finding.server) for finding in diagnosis.findings} == TROUBLES[name][1]


@pytest.mark.parametrize("name", ["slow", "errors", "outage"])
def test_the_times_are_those_of_the_trouble(name: str) -> None:
    for finding in found(name)[1].findings:
        assert finding.start == pytest.approx(BAD[0], abs=5)
        assert finding.end == pytest.approx(BAD[1], abs=5)


STARTERS = (
    *("round_robin", "weighted_round_robin", "random", "ip_hash"),
    *("least_connections", "least_response_time", "power_of_two", "consistent_hash"),
)


@pytest.mark.parametrize("policy", STARTERS)
@pytest.mark.parametrize("load", [0.2, 0.5, 0.7])
def test_nothing_is_found_in_quiet_runs(policy: str, load: float) -> None:
    """Many clients: hashes of a few are an unfair split, which is found for good reason."""
    usual = QUIET.but(policy=policy, duration=30, clients=2000).at_load(load)
    for seed in range(4):
        assert str(diagnose(run(usual.but(seed=seed)))) == "nothing found"


EXPECTED = {
    "crash": {("server down", "s1")},
    "slow server": {("slow server", "s2")},
    "errors": {("failing server", "s3")},
    "few errors": {("failing server", "s3")},
    "overload": {("overload", "")},
    "flapping": {("flapping check", "s4")},
    "spike": set(),
    "deploy": set(),
}


@pytest.mark.parametrize("incident", INCIDENTS, ids=lambda one: one.name)
def test_of_each_standard_incident_the_right_thing_is_found(incident: Injected) -> None:
    experiment, known = incident.into(SERVICE.but(duration=4 * HOUR), 2 * HOUR, 3 * HOUR)
    found = diagnose(run(experiment)).findings
    assert {(finding.name, finding.server) for finding in found} == EXPECTED[incident.name]
    assert all(finding.start == pytest.approx(known.start, abs=400) for finding in found)


def test_a_quiet_day_of_a_small_service_has_no_findings() -> None:
    for seed in range(5):
        assert diagnose(run(SERVICE.but(seed=seed, duration=4 * HOUR))).findings == ()


def test_a_crash_that_retries_hide_is_nothing_to_clients() -> None:
    assert diagnose(run(QUIET.but(events=during("crash", "s2")))).findings == ()


def test_a_breaker_and_a_budget_shorten_the_storm() -> None:
    guarded, plain = diagnose(run(drills.storm(True))), found("storm")[1]
    lasts = [max(finding.end for finding in diagnosis.findings) for diagnosis in (guarded, plain)]
    assert lasts[0] < lasts[1]


def test_a_finding_says_what_of_whom_when_and_why() -> None:
    (finding,) = found("slow")[1].findings
    assert str(finding).startswith("slow server s2, 4")
    assert "instead of 0.02 s" in finding.evidence
    assert found("slow")[1].names == ("slow server",)


def test_the_findings_are_a_table_or_one_line() -> None:
    assert "<td" in found("slow")[1]._repr_html_()
    assert "instead of 0.02 s" in found("slow")[1]._repr_html_()
    assert found("slow")[1].brief.startswith("slow server s2, 4")
    assert ":" not in found("slow")[1].brief
    quiet = diagnose(run(QUIET.but(duration=10)))
    assert quiet._repr_html_() == "<p>nothing found</p>"
    assert quiet.brief == "nothing found"


def test_the_work_of_all_windows_is_that_of_the_run() -> None:
    result, _ = found("slow")
    windows = Windows(result)
    busy = [sum(window.busy[i] for window in windows.all) for i in range(4)]
    expected = [share * 120 for share in result.utilisation.values()]
    assert busy == pytest.approx(expected, rel=1e-6)
    assert sum(window.sent for window in windows.all) == len(result)


def test_a_run_without_requests_has_no_findings() -> None:
    nothing = run(QUIET.but(duration=0.001).at_load(0.01))
    assert diagnose(nothing).findings == ()


def test_what_is_no_result_is_refused() -> None:
    with pytest.raises(ValueError, match="result is 3: use a Result"):
        diagnose(3)  # type: ignore[arg-type]

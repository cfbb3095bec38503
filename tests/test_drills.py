"""The drills of benchmarks/drills.py, with what each of them has to show, in the simulator and on processes.

Rolling deploys on processes are in tests/live/test_rollout.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from needs import need_module

from benchmarks import drills
from lbkit import Event, Result, run

BUSY = 1.0  # seconds that a busy machine may add


def figures(name: str, engine: str = "sim") -> list[dict[str, Any]]:
    """Return what is measured of a drill, for each of its measures against the fault; the last is without."""
    drill = drills.DRILLS[name]
    return [drill.measure(run(experiment, on=engine)) for experiment in drill.experiments.values()]


def test_no_get_fails_when_one_server_in_three_is_killed_every_two_seconds() -> None:
    *guarded, plain = figures("kill")
    assert [one["failed"] for one in guarded] == [0, 0]
    assert plain["failed"] > 50
    assert plain["failed otherwise"] == plain["failed"]  # some server is up at any time


def test_no_balancer_can_help_while_no_server_is_up() -> None:
    events = [
        Event(1, "crash", "s1"),
        Event(2, "crash", "s2"),
        Event(3, "crash", "s3"),
        Event(3.5, "recover", "s1"),
    ]
    result = run(drills.killed(retries=2).but(events=events))
    assert drills.all_down(drills.downtimes(result)) == [(3, 4)]  # the boot takes half a second
    counted = drills.failed_of_kills(result)
    assert counted["failed"] > 0
    assert (counted["no server up"], counted["failed otherwise"]) == (1, 0)


def test_a_rolling_deploy_at_70_percent_load_fails_no_request_and_a_plain_restart_does() -> None:
    rolling, plain = figures("deploy")
    assert (rolling["deploy"], rolling["failed"]) == ("done", 0)
    assert plain["deploy"] == "done"
    assert plain["failed"] > 50


def test_a_server_that_hangs_is_found_in_time_and_costs_no_request_more_than_its_deadline() -> None:
    guarded, checked, plain = figures("hang")
    assert 0 < guarded["found after"] <= drills.CHECKS.longest_detection(hangs=True)
    assert (guarded["failed"], guarded["slowest"] <= drills.DEADLINE) == (0, True)
    assert checked["found after"] == guarded["found after"]
    outage = drills.HUNG_UNTIL - drills.HUNG_AT
    for without_a_deadline in (checked, plain):  # those that were there when it stopped, at least
        assert drills.DEADLINE < without_a_deadline["slowest"] <= outage + 0.2
    assert plain["found after"] is None


def test_one_failed_check_in_ten_takes_no_server_out_with_fall_3() -> None:
    three, one = figures("flap")
    assert three["failed checks"] == one["failed checks"] == drills.FLAPS
    assert (three["taken out"], one["taken out"]) == (0, drills.FLAPS)


def test_a_breaker_and_a_budget_end_a_retry_storm_that_else_outlives_its_cause() -> None:
    guarded, plain = figures("storm")
    assert guarded["good before, %"] == plain["good before, %"] == 100
    assert (guarded["good at the end, %"], plain["good at the end, %"]) == (100, 0)
    assert guarded["recovered after"] <= 3
    assert plain["recovered after"] is None


def test_the_load_at_which_the_storm_begins_is_one_over_the_tries() -> None:
    assert drills.storm_begins([0.2, 0.225], seeds=2) is None
    assert drills.storm_begins([0.275], seeds=1) == 0.275


def test_downtimes_that_never_meet_have_no_common_time() -> None:
    down = drills.downtimes(run(drills.killed(retries=2)))
    assert list(down) == ["s1", "s2", "s3"]
    assert [len(spans) for spans in down.values()] == [2, 2, 2]
    assert drills.all_down(down) == []


# -- on processes ----------------------------------------------------------------------------------------


def need_processes() -> None:
    need_module("locust")
    need_module("uvicorn")


def why_failed(result: Result) -> str:
    """Return what is known of each request that failed."""
    history = ", ".join(f"{change.at:.3f} {change.what}" for change in result.history)
    rows = zip(result.arrival, result.end, result.status, result.attempts, result.ok, strict=True)
    failures = [
        f"{arrival:.3f} to {end:.3f}: {status}, {attempts} attempts"
        for arrival, end, status, attempts, ok in rows
        if not ok
    ]
    return "\n".join([history, *failures])


@pytest.mark.live
def test_no_get_fails_when_processes_are_killed_every_two_seconds() -> None:
    need_processes()
    result = run(drills.killed(retries=2), on="live")
    assert result.faults == ()
    assert drills.failed_of_kills(result)["failed otherwise"] == 0, why_failed(result)
    assert max(result.attempts) > 1
    retried = {event.backend for event in result.attempt_events if event.kind == "retry"}
    assert retried == {"s1", "s2", "s3"}  # each was killed twice


@pytest.mark.live
def test_a_process_that_hangs_costs_no_request_more_than_its_deadline() -> None:
    need_processes()
    guarded, *_ = drills.DRILLS["hang"].experiments.values()
    found = drills.found(run(guarded, on="live"))
    assert 0 < found["found after"] <= drills.CHECKS.longest_detection(hangs=True) + BUSY
    assert found["slowest"] <= drills.DEADLINE + BUSY


@pytest.mark.live
def test_one_failed_check_in_ten_takes_no_process_out_with_fall_3() -> None:
    need_processes()
    found = drills.taken_out(run(drills.flapping(fall=3), on="live"))
    assert found["failed checks"] >= 1
    assert found["taken out"] == 0


@pytest.mark.live
def test_a_breaker_and_a_budget_end_a_retry_storm_on_processes() -> None:
    need_processes()
    both = (drills.storm(guarded, duration=14) for guarded in (True, False))
    guarded, plain = (drills.recovered(run(experiment, on="live")) for experiment in both)
    assert plain["good at the end, %"] < 50  # seconds after the fault
    assert guarded["good at the end, %"] > plain["good at the end, %"] + 40


# -- the table -------------------------------------------------------------------------------------------


def test_an_engine_that_refuses_a_measure_has_a_dash_and_the_reason_below() -> None:
    found = {
        "engines": ["sim", "nginx"],
        "figures": {"kill": {"2 retries": {"sim": {"requests": 9, "failed": 0}}}},
        "refused": {"it has no retries": "nginx: kill, 2 retries"},
    }
    head, line, reason = drills.table(found).splitlines()
    assert head.split() == ["sim", "nginx"]
    assert line.split()[-2:] == ["0/9", "-"]
    assert reason == "- nginx: kill, 2 retries: it has no retries"


def test_the_figures_in_the_docs_are_of_all_drills() -> None:
    text = (Path(drills.__file__).parents[1] / "docs" / "drills.md").read_text(encoding="utf-8")
    for drill in drills.DRILLS.values():
        for measure in drill.experiments:
            assert f"| {drill.name} | {measure} |" in text


def test_programs_that_are_here_run_all_drills_or_say_why_not() -> None:
    for drill in drills.DRILLS.values():
        *_, plain = drill.experiments.values()
        for program in ("haproxy", "nginx"):
            reason = drills.refusal(plain, program)
            assert not reason or "health" in reason or "checks" in reason or "apt-get" in reason

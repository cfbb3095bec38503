"""When events are carried out, and which are not."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

from lbkit import Action, Event, Experiment, Policy, servers
from lbkit.live.controls import HAPPENS
from lbkit.live.timeline import Timeline, without_failed_boots

BOOT = {"s1": 2.0, "s2": 0.0}


def test_a_recovery_that_a_crash_ends_before_the_server_has_booted_does_not_happen() -> None:
    crash, slow = Event(1, "crash", "s1"), Event(3.5, "slow", "s1", 0.5)
    early, late = Event(3, "recover", "s1"), Event(6, "recover", "s1")
    again, other = Event(4, "crash", "s1"), Event(3, "recover", "s2")
    assert without_failed_boots([crash, early, other, slow, again, late], BOOT) == [
        crash,
        other,
        slow,
        again,
        late,
    ]


def test_a_crash_that_is_not_after_the_recovery_does_not_end_the_boot() -> None:
    for events in (
        [Event(3, "crash", "s1"), Event(3, "recover", "s1")],
        [Event(3, "recover", "s1"), Event(5, "crash", "s1")],
        [Event(3, "recover", "s1"), Event(4, "crash", "s2")],
    ):
        assert without_failed_boots(events, BOOT) == events


def test_a_slow_start_delays_only_what_follows_for_its_server() -> None:
    started, done = threading.Event(), []

    def carry_out(event: Event) -> None:
        if event.action.value == "recover":
            assert started.wait(10)
        if event.action.value == "drain":
            raise RuntimeError("no")
        done.append((event.action.value, event.server))
        if event.server == "s3":
            started.set()

    events = [
        Event(0, "recover", "s1"),
        Event(0, "slow", "s1", 2),
        Event(0, "add", "s2"),
        Event(0, "drain", "s2"),
        Event(0, "crash", "s3"),
    ]
    timeline = Timeline(events, carry_out, threading.Event())
    timeline.start(time.monotonic())
    timeline.join()
    assert set(done[:2]) == {("add", "s2"), ("crash", "s3")} or done[-1] == ("add", "s2")
    assert done.index(("crash", "s3")) < done.index(("recover", "s1")) < done.index(("slow", "s1"))
    assert timeline.faults == ["drain s2 at 0 s: no"]


def test_every_action_but_a_flap_can_be_carried_out() -> None:
    assert HAPPENS.keys() == {*Action} - {Action.FLAP}  # a flap is crashes and recoveries by then


def test_a_switch_keeps_the_rest_of_the_policy() -> None:
    used: list[Policy] = []
    experiment = Experiment(servers(2), policy=Policy("round_robin", retries=3))
    session: Any = SimpleNamespace(experiment=experiment, switch=used.append)
    HAPPENS[Action.SWITCH](session, Event(1.0, "switch", algorithm="subset", options={"size": 1}))
    assert used == [Policy("subset", {"size": 1}, retries=3)]

"""When events are carried out, and which are not."""

from __future__ import annotations

import threading
import time

from lbkit import Event
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

from __future__ import annotations

from lbkit import Event, Experiment, servers
from lbkit.core.state_change import StateChange
from lbkit.events import Action
from lbkit.history import By, Change, Deed
from lbkit.viz.theatre.happenings import Happening, happenings

EXPERIMENT = Experiment(servers(2, boot=1.0), events=[Event(3, "crash", "s1")])
CRASH = Happening(3, "s1", "server", "down", None, "crash")


def by_hand(*history: Change, changes: tuple[StateChange, ...] = ()) -> list[Happening]:
    found = happenings(EXPERIMENT, changes, history)
    assert CRASH in found
    return [one for one in found if one != CRASH]


def test_what_was_done_by_hand_is_shown_and_says_so() -> None:
    history = (
        Change(1.0, Action.CRASH, "s2"),
        Change(2.0, Action.SLOW, "s1", 0.25),
        Change(2.5, Action.SWITCH, policy="random"),
    )
    assert by_hand(*history) == [
        Happening(1.0, "s2", "server", "down", None, "by hand"),
        Happening(2.0, "s1", "speed", "slow", 0.25, "by hand"),
        Happening(2.5, "", "policy", "random", None, "by hand"),
    ]


def test_a_start_by_hand_is_noted_when_the_server_serves_so_no_boot_follows() -> None:
    found = by_hand(Change(1.0, Action.RECOVER, "s2"))
    assert {one.at for one in found} == {1.0}
    assert {one.state for one in found} == {"up", "usual", "none"}


def test_an_event_of_the_experiment_is_not_shown_twice() -> None:
    assert by_hand(Change(3.01, Action.CRASH, "s1", by=By.PLAN)) == []
    assert by_hand(Change(3.01, Action.SET_WEIGHT, "s1", 2, by=By.DEPLOY)) == []


def test_a_drain_is_shown_by_what_the_proxy_tells_of_it_and_else_by_the_order() -> None:
    drain = Change(1.0, Action.DRAIN, "s2")
    assert by_hand(drain) == [Happening(1.0, "s2", "drain", "draining", None, "by hand")]
    told = StateChange(0.9, "s2", "drain", "ready", "draining", "told to")
    assert by_hand(drain, changes=(told,)) == [Happening(0.9, "s2", "drain", "draining", None, "told to")]


def test_what_changes_no_server_is_no_happening() -> None:
    assert by_hand(Change(1.0, Deed.SEND, "3", 5), Change(1.5, Deed.TAKE_OUT, "s1")) == []

"""A running session on the stage, from Python's side: what the page gets, and what hands do."""

from __future__ import annotations

import json
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from math import nan
from typing import Any

import pytest
from needs import need_module

need_module("ipywidgets")
need_module("anywidget")

from lbkit import Event, Experiment, Result, Traffic, servers
from lbkit.core.state_change import StateChange
from lbkit.events import Action
from lbkit.history import Change
from lbkit.recorded import Attempt, Sighting
from lbkit.result import COLUMNS
from lbkit.viz import Theatre
from lbkit.viz.theatre import live
from lbkit.viz.theatre.happenings import Happening
from lbkit.viz.theatre.live import LiveShow, recent
from lbkit.viz.theatre.live_hands import AT_ONCE

EXPERIMENT = Experiment(servers(2), Traffic(duration=5, clients=3), policy="round_robin")
TIMEOUT = 60.0


class FakeWatcher:
    def __init__(self) -> None:
        self.notes: tuple[str, ...] = ()
        self.share, self.rate = 1.0, 0.0
        self.closed = False
        self.seen: list[Sighting] = []

    def news(self, now: float) -> list[Sighting]:
        seen, self.seen = self.seen, []
        return seen

    def close(self) -> None:
        self.closed = True


class FakeSession:
    """Runs until it is told to end; notes what is done to it."""

    experiment = EXPERIMENT
    on = "live"
    policy = "round_robin"
    elapsed = 1.5

    def __init__(self) -> None:
        self.history: list[Change] = []
        self.changes: list[StateChange] = []
        self.watchers: list[Callable[[], object]] = []
        self.watcher = FakeWatcher()
        self.running, self.done = True, False
        self.did: list[Any] = []
        self.fails = False
        self.go_on = threading.Event()
        self.go_on.set()

    def watch(self) -> FakeWatcher:
        return self.watcher

    def result(self) -> Result:
        columns = {name: array(code) for name, code in COLUMNS.items()}
        return Result(self.experiment, "live", columns, {"history": self.history})

    @staticmethod
    def algorithms(on: str) -> list[str]:
        return ["round_robin", "random"]

    def __getattr__(self, name: str) -> Callable[..., None]:
        def do(*how: Any) -> None:
            self.go_on.wait(TIMEOUT)
            if self.fails:
                raise RuntimeError("it did not start\nas its port is taken")
            self.did.append((name, *how))

        return do


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def session() -> Iterator[FakeSession]:
    session = FakeSession()
    yield session
    session.running = False
    for wait in session.watchers:
        wait()


def followed(session: FakeSession) -> tuple[LiveShow, list[dict[str, Any]]]:
    said: list[dict[str, Any]] = []
    return LiveShow(session, said.append, lambda: None), said  # type: ignore[arg-type] # a fake


ONE = Sighting(7, 2, 1.0, nan, 0, 1.25, "unfinished", (Attempt(7, 1, 1.0, nan, nan, "first", "unfinished"),))


def test_a_request_is_a_row_of_numbers(session: FakeSession) -> None:
    show, _ = followed(session)
    session.watcher.seen = [ONE]
    more = json.loads(json.dumps(show.news(), allow_nan=False))
    assert more["now"] == 1.5
    assert more["requests"] == [[7, 1.0, None, 2, 1.25, 0, 7, [[1, 1.0, None, None, 0, 7]]]]


def test_states_and_notes_come_when_they_change_and_now_and_then(session: FakeSession) -> None:
    show, _ = followed(session)
    assert "states" in show.news()
    assert "states" not in show.news()
    session.history.append(Change(1.2, Action.CRASH, "s2"))
    (state,) = show.news()["states"]
    assert (state["server"], state["state"], state["why"]) == (1, "down", "by hand")
    session.watcher.share, session.watcher.rate = 0.25, 480.4
    assert any("25% of 480 requests a second" in note for note in show.news()["notes"])
    assert sum("states" in show.news() for _ in range(live.WHOLE)) == 1


def test_what_has_not_happened_yet_is_not_told(session: FakeSession) -> None:
    session.experiment = EXPERIMENT.but(events=[Event(1.6, "crash", "s1")])
    show, _ = followed(session)
    assert show.news()["states"] == []
    session.elapsed = 1.7
    assert [state["state"] for state in show.news()["states"]] == ["down"]


def test_of_many_states_the_last_and_those_that_last_are_kept() -> None:
    early = [Happening(0, "s1", "server", "down"), Happening(1, "s2", "weight", "set", 2.0)]
    later = [Happening(2 + i, "s1", "check", "up" if i % 2 else "down") for i in range(100)]
    kept = recent([*early, *later], 200.0, most=10)
    assert kept == [*early, later[-11], *later[-10:]]


@pytest.mark.parametrize(
    ("message", "done"),
    [
        ({"do": "kill", "server": "s1"}, ("crash", "s1")),
        ({"do": "revive", "server": "s1"}, ("recover", "s1")),
        ({"do": "slow", "server": "s2", "factor": 0.25}, ("slow", "s2", 0.25)),
        ({"do": "drain", "server": "s2"}, ("drain", "s2")),
        ({"do": "undrain", "server": "s2"}, ("undrain", "s2")),
        ({"do": "weight", "server": "s1", "weight": 3}, ("set_weight", "s1", 3)),
        ({"do": "switch", "policy": "random"}, ("switch", "random")),
        ({"do": "send", "client": "c2", "requests": 4}, ("send", 2, 4, 20.0)),
    ],
)
def test_what_the_stage_sends_is_done_to_the_session(
    session: FakeSession, message: dict[str, Any], done: tuple[Any, ...]
) -> None:
    theatre = Theatre(session)
    assert json.loads(theatre.spec)["hands"] == {"policies": ["random", "round_robin"], "undo": False}
    theatre._received(theatre, message | {"at": 1.0, "stage": 0}, [])
    until(lambda: session.did)
    assert session.did == [done]


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ({"do": "kill", "server": "s9"}, "unknown server s9"),
        ({"do": "kill", "server": None}, "unknown server None"),
        ({"do": "revive"}, "revive needs server"),
        ({"do": "undo"}, "unknown intervention undo"),
        ({"do": ["kill"], "server": "s1"}, "unknown intervention"),
        ({"do": "kill", "weight": 1}, "kill needs server"),
        ({"do": "kill", "what": "kill"}, "kill needs server"),
        ({"do": "send", "client": 99}, "client is 99"),
        ({"do": "send", "client": "c2", "requests": "many"}, "requests is 'many'"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    session: FakeSession, monkeypatch: pytest.MonkeyPatch, message: dict[str, Any], fault: str
) -> None:
    theatre, said = Theatre(session), list[Any]()
    monkeypatch.setattr(theatre, "send", said.append)
    for _ in range(AT_ONCE + 1):  # none of them counts as being done
        theatre._received(theatre, message | {"at": 1.0, "stage": 0}, [])
    faults = [one["fault"] for one in said if "fault" in one]
    assert len(faults) == AT_ONCE + 1
    assert all(one.startswith(fault) and "\n" not in one for one in faults)
    assert session.did == []
    assert theatre.live
    assert not theatre.live.hands.boots


def test_a_theatre_that_another_one_replaced_does_nothing_to_a_session_that_is_over(
    session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    theatre, said = Theatre(session), list[Any]()
    monkeypatch.setattr(theatre, "send", said.append)
    session.done = True
    theatre._received(theatre, {"do": "kill", "server": "s1", "at": 1.0, "stage": 0}, [])
    assert said[-1]["fault"].startswith("the session is over")
    assert session.did == []


def test_a_start_is_shown_while_it_takes_and_taken_back_if_it_fails(session: FakeSession) -> None:
    show, said = followed(session)
    session.go_on.clear()
    show.hands.act("revive", server="s2")
    (state,) = show.news()["states"]
    assert (state["server"], state["state"]) == (1, "booting")
    session.fails = True
    session.go_on.set()
    until(lambda: said)
    assert "\n" not in said[0]["fault"]
    assert [one.state for one in show.hands.boots] == ["booting", "down"]


def test_only_so_many_things_are_done_at_once(session: FakeSession) -> None:
    show, said = followed(session)
    session.go_on.clear()
    for _ in range(AT_ONCE + 1):
        show.hands.act("kill", server="s1")
    assert "wait until one is done" in said[0]["fault"]
    session.go_on.set()
    until(lambda: len(session.did) == AT_ONCE)


def test_the_theatre_of_a_session_becomes_the_film_of_its_result(session: FakeSession) -> None:
    theatre = Theatre(session)
    before = json.loads(theatre.spec)
    assert before["live"]["delay"] == 0.5
    assert before["films"][0]["requests"]["sent"] == []
    session.history.append(Change(1.2, Action.CRASH, "s2"))
    session.running = False
    session.watchers[0]()
    after = json.loads(theatre.spec)
    assert theatre.number == 2
    assert "live" not in after
    assert after["hands"] is None
    assert [state["why"] for state in after["films"][0]["states"]] == ["by hand"]
    assert [result.engine for result in theatre.results] == ["live"]
    theatre._received(theatre, {"do": "kill", "server": "s1", "at": 1.0}, [])
    assert session.did == []


def test_nothing_of_ours_runs_after_the_session_or_the_theatre(session: FakeSession) -> None:
    theatre = Theatre(session)
    theatre.close()
    assert session.watcher.closed
    assert not [one for one in threading.enumerate() if one.name == "lbkit-theatre"]
    other = FakeSession()
    Theatre(other)
    other.running = False
    other.watchers[0]()
    assert not [one for one in threading.enumerate() if one.name == "lbkit-theatre"]


def test_a_theatre_says_that_another_one_has_its_session(
    session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    theatre, said = Theatre(session), list[Any]()
    monkeypatch.setattr(theatre.live, "_send", said.append)
    session.watcher.close()
    until(lambda: any("another theatre" in one.get("fault", "") for one in said))


def test_a_session_has_a_theatre_to_itself_and_has_to_run(session: FakeSession) -> None:
    with pytest.raises(ValueError, match="of its own"):
        Theatre(session, EXPERIMENT)
    session.running = False
    with pytest.raises(ValueError, match="does not run"):
        Theatre(session)
    session.done = True
    assert json.loads(Theatre(session).spec)["films"][0]["engine"] == "live"

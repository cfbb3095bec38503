"""A theatre with a real session, and a front end that notes what it is sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from needs import need, need_feature, need_module

need_feature("live")
need_module("ipywidgets")
need_module("anywidget")

from lbkit import Constant, Experiment, Policy, Traffic, servers
from lbkit.live import LiveSession
from lbkit.viz import Theatre

pytestmark = pytest.mark.live
TIMEOUT = 30.0
EXPERIMENT = Experiment(
    servers(3, service=Constant(0.02)),
    Traffic(duration=2, clients=5),
    Policy("round_robin", retries=1),
    seed=5,
).at_load(0.4)


class Noting(Theatre):
    """Notes what goes to the stage."""

    def __init__(self, *shows: Any) -> None:
        self.said: list[dict[str, Any]] = []
        super().__init__(*shows)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.said.append(json.loads(json.dumps(content, allow_nan=False)))

    def do(self, **message: Any) -> None:
        self._received(self, {"at": 0.0, "stage": 0} | message, [])

    def more(self, what: str) -> list[Any]:
        """What has come of requests, or of states."""
        return [one for said in self.said if "more" in said for one in said["more"].get(what, ())]


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def ours() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("lbkit")]


def test_a_session_is_followed_and_hands_reach_its_processes_until_it_is_a_film() -> None:
    with LiveSession(EXPERIMENT) as session:
        theatre = Noting(session)
        until(lambda: theatre.more("requests"))
        theatre.do(do="kill", server="s2")
        until(lambda: not session.state()[1]["alive"])
        theatre.do(do="send", client="c4", requests=5)
        theatre.do(do="switch", policy="random")
        until(lambda: len(session.history) == 3)
        theatre.do(do="weight", server="s9", weight=2)
        until(lambda: any(said.get("fault") for said in theatre.said))
        session.wait()
        until(lambda: theatre.live is None)
    assert ours() == []
    rows = {row[0]: row for row in theatre.more("requests")}
    assert all(0 <= row[3] < 5 and row[4] > 0 for row in rows.values())
    assert {state["state"] for state in theatre.more("states")} >= {"down", "random"}
    (shown,) = json.loads(theatre.spec)["films"]
    assert len(rows) <= len(shown["requests"]["sent"])
    assert len(rows) > 10
    by_hand = [(s["kind"], s["state"]) for s in shown["states"] if s["why"] == "by hand"]
    assert sorted(by_hand) == [("policy", "random"), ("server", "down")]
    (result,) = theatre.results
    assert list(result.client).count(4) >= 5


def test_a_session_that_is_broken_off_leaves_nothing_running_and_a_film_of_what_there_was() -> None:
    made: list[Noting] = []

    def cell() -> None:
        with LiveSession(EXPERIMENT.but(duration=60)) as session:
            made.append(Noting(session))
            until(lambda: made[0].more("requests"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cell()
    (theatre,) = made
    assert ours() == []
    assert theatre.live is None
    assert json.loads(theatre.spec)["films"][0]["requests"]["sent"]
    assert not any(said.get("fault") for said in theatre.said)


def test_of_a_real_program_what_is_known_is_shown_and_what_it_cannot_do_is_said() -> None:
    need("nginx")
    with LiveSession(EXPERIMENT.but(duration=1), on="nginx") as session:
        theatre = Noting(session)
        assert "maglev" not in json.loads(theatre.spec)["hands"]["policies"]
        until(lambda: theatre.more("requests"))
        theatre.do(do="switch", policy="maglev")
        until(lambda: any(said.get("fault") for said in theatre.said))
        session.wait()
        until(lambda: theatre.live is None)
    assert any("answered" in note for said in theatre.said for note in said.get("more", {}).get("notes", ()))
    assert [said["fault"] for said in theatre.said if said.get("fault")]

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from needs import need_module

need_module("ipywidgets")
need_module("anywidget")

from lbkit import Experiment, run, servers
from lbkit.viz import Theatre
from lbkit.viz.theatre import film
from lbkit.viz.widget import still

EXPERIMENT = Experiment(servers(2)).but(duration=2).at_load(0.5)
RESULT = run(EXPERIMENT)
PLAIN = json.loads(film(RESULT).to_json())


def test_a_theatre_plays_a_result_or_a_film() -> None:
    one = Theatre(RESULT)
    assert json.loads(one.spec)["films"] == [PLAIN]
    assert json.loads(one.spec)["hands"] is None
    assert json.loads(Theatre(RESULT, film(RESULT)).spec)["films"] == [PLAIN] * 2


def test_another_film_has_another_number() -> None:
    theatre = Theatre(RESULT)
    before = theatre.number
    theatre.show(film(RESULT, start=1.0))
    assert theatre.number == before + 1
    assert json.loads(theatre.spec)["films"][0]["start"] == 1.0


@pytest.mark.parametrize(
    ("films", "said"), [((), "shows are 0"), ((RESULT,) * 3, "shows are 3"), ((7,), "7")]
)
def test_what_is_no_film_is_refused(films: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Theatre(*films)


def test_a_theatre_is_saved_as_a_page(tmp_path: Path) -> None:
    path = Theatre(RESULT).save(tmp_path / "x.html")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_what_the_viewer_does_to_an_experiment_is_done_and_undone() -> None:
    theatre = Theatre(EXPERIMENT)
    before = json.loads(theatre.spec)
    assert before["hands"]["policies"]
    theatre._received(theatre, {"do": "kill", "server": "s1", "at": 0.5, "stage": 0}, [])
    (state,) = json.loads(theatre.spec)["films"][0]["states"]
    assert (state["at"], state["state"]) == (0.5, "down")
    theatre._received(theatre, {"do": "undo", "at": 0.5, "stage": 0}, [])
    assert json.loads(theatre.spec) == before


def test_the_viewer_is_told_what_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    theatre, told = Theatre(EXPERIMENT), list[Any]()
    monkeypatch.setattr(theatre, "send", told.append)
    before = theatre.number
    theatre._received(theatre, {"do": "dance", "at": 0.5}, [])
    assert "dance" in told[0]["fault"]
    assert theatre.number == before


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ({"do": "kill"}, "at is None"),
        ({"do": "kill", "at": "soon", "server": "s1"}, "at is 'soon'"),
        ({"do": "kill", "at": 1}, "kill needs server"),
        ({"do": "kill", "at": 1, "server": "s1", "stage": 5}, "stage is 5: the number of stages is 1"),
        ({"do": "kill", "at": 1, "server": "s1", "stage": "left"}, "stage is 'left'"),
        ({"do": "kill", "at": 1, "server": "s1", "speed": 1}, "kill: unknown field speed"),
        ({"do": None, "at": 1}, "unknown intervention None"),
        ({"do": ["kill"], "at": 1, "server": "s1"}, "unknown intervention"),
        ({"do": "send", "at": 1}, "client is None"),
    ],
)
def test_a_malformed_message_is_answered_in_a_line(
    monkeypatch: pytest.MonkeyPatch, message: dict[str, Any], fault: str
) -> None:
    theatre, told = Theatre(EXPERIMENT), list[Any]()
    monkeypatch.setattr(theatre, "send", told.append)
    before = theatre.number
    theatre._received(theatre, message, [])
    assert [one["fault"][: len(fault)] for one in told] == [fault]
    assert theatre.number == before


@pytest.mark.parametrize(
    "message", [None, "do", [1], {}, {"still": 5}, {"still": "x", "width": 9, "words": ""}]
)
def test_what_is_no_message_of_the_stage_is_left_alone(message: object) -> None:
    theatre = Theatre(EXPERIMENT)
    theatre._received(theatre, message, [])
    assert (theatre.number, theatre.picture) == (1, "")


def test_save_names_what_is_wrong(tmp_path: Path) -> None:
    theatre = Theatre(RESULT)
    with pytest.raises(ValueError, match="path is None: use the name of a file"):
        theatre.save(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fps: a page has no options"):
        theatre.save(tmp_path / "x.html", fps=3)
    for option, value in {"start": float("nan"), "width": 10**9, "fps": 0, "seconds": "long"}.items():
        with pytest.raises(ValueError, match=f"{option} is "):
            theatre.save(tmp_path / "x.gif", **{option: value})
    assert list(tmp_path.iterdir()) == []


def test_two_stages_have_hands_if_both_can_be_interfered_with() -> None:
    two = Theatre(EXPERIMENT, EXPERIMENT.but(policy="random"))
    two._received(two, {"do": "kill", "server": "s1", "at": 0.5, "stage": 1}, [])
    assert [len(one["states"]) for one in json.loads(two.spec)["films"]] == [0, 1]
    assert json.loads(Theatre(EXPERIMENT, RESULT).spec)["hands"] is None


def test_a_theatre_keeps_its_picture_for_the_saved_notebook() -> None:
    theatre = Theatre(RESULT)
    theatre._received(theatre, {"still": "data:image/webp;base64,AAAA", "width": 640, "words": "a run"}, [])
    assert theatre.picture in still(theatre)
    assert "AAAA" in theatre.picture


SENT = [  # by stage/hands.js
    {"do": "kill", "server": "s1"},
    {"do": "revive", "server": "s1"},
    {"do": "slow", "server": "s2", "factor": 0.25},
    {"do": "drain", "server": "s2"},
    {"do": "undrain", "server": "s2"},
    {"do": "weight", "server": "s1", "weight": 3},
    {"do": "send", "client": "c0 c8…", "requests": 4},
    {"do": "switch", "policy": "random"},
]


def test_a_director_understands_all_that_the_stage_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    theatre, told = Theatre(EXPERIMENT), list[Any]()
    monkeypatch.setattr(theatre, "send", told.append)
    for number, message in enumerate(SENT):
        theatre._received(theatre, message | {"at": 0.1 + number / 20, "stage": 0}, [])
    assert told == []
    (shown,) = json.loads(theatre.spec)["films"]
    assert [state["state"] for state in shown["states"] if state["kind"] == "policy"] == ["random"]
    (director,) = theatre.directors
    assert director
    assert len(director.interventions) == len(SENT)
    theatre._received(theatre, {"do": "undo", "at": 0.9, "stage": 0}, [])
    assert len(director.interventions) == len(SENT) - 1

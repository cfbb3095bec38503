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


def test_two_stages_have_hands_if_both_can_be_interfered_with() -> None:
    two = Theatre(EXPERIMENT, EXPERIMENT.but(policy="random"))
    two._received(two, {"do": "kill", "server": "s1", "at": 0.5, "stage": 1}, [])
    assert [len(one["states"]) for one in json.loads(two.spec)["films"]] == [0, 1]
    assert json.loads(Theatre(EXPERIMENT, RESULT).spec)["hands"] is None


def test_a_theatre_keeps_its_picture_for_the_saved_notebook() -> None:
    theatre = Theatre(RESULT)
    theatre._received(theatre, {"still": "data:image/webp;base64,AAAA", "width": 640}, [])
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

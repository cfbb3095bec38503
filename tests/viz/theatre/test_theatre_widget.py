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
from lbkit.viz.theatre import Film, film
from lbkit.viz.theatre.director import Director as Stage
from lbkit.viz.widget import still

RESULT = run(Experiment(servers(2)).but(duration=2).at_load(0.5))
PLAIN = json.loads(film(RESULT).to_json())


class Director:
    def __init__(self) -> None:
        self.film = film(RESULT)
        self.done: list[dict[str, Any]] = []

    def act(self, what: str, at: float, **how: Any) -> Film:
        if what != "kill":
            raise ValueError(f"no {what}")
        self.done.append({"what": what, "at": at, **how})
        return film(RESULT, start=1.0)


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
    ("films", "said"), [((), "films are 0"), ((RESULT,) * 3, "films are 3"), ((7,), "7")]
)
def test_what_is_no_film_is_refused(films: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Theatre(*films)


def test_a_theatre_is_saved_as_a_page(tmp_path: Path) -> None:
    path = Theatre(RESULT).save(tmp_path / "x.html")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_what_the_viewer_does_goes_to_the_director_and_the_next_film_is_shown() -> None:
    director = Director()
    theatre = Theatre(director=director)
    assert json.loads(theatre.spec)["hands"]["policies"]
    theatre._received(theatre, {"do": "kill", "server": "s1", "at": 0.5, "stage": 0}, [])
    assert director.done == [{"what": "kill", "server": "s1", "at": 0.5}]
    assert json.loads(theatre.spec)["films"][0]["start"] == 1.0


def test_the_viewer_is_told_what_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    theatre, told = Theatre(director=Director()), list[Any]()
    monkeypatch.setattr(theatre, "send", told.append)
    before = theatre.number
    theatre._received(theatre, {"do": "dance", "at": 0.5}, [])
    assert told == [{"fault": "no dance"}]
    assert theatre.number == before


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
    theatre, told = Theatre(director=Stage(Experiment(servers(2)).but(duration=1).at_load(0.5))), list[Any]()
    monkeypatch.setattr(theatre, "send", told.append)
    for number, message in enumerate(SENT):
        theatre._received(theatre, message | {"at": 0.1 + number / 20, "stage": 0}, [])
    assert told == []
    (shown,) = json.loads(theatre.spec)["films"]
    assert [state["state"] for state in shown["states"] if state["kind"] == "policy"] == ["random"]
    assert len(theatre.directors[0].interventions) == len(SENT)
    theatre._received(theatre, {"do": "undo", "at": 0.9, "stage": 0}, [])
    assert len(theatre.directors[0].interventions) == len(SENT) - 1

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from needs import need_module

need_module("ipywidgets")
need_module("anywidget")

import IPython.display

from lbkit import Experiment, Exponential, Poisson, Traffic, run, servers
from lbkit.course import predict
from lbkit.viz import Scene, Step


def build(rate: int = 8, count: int = 1, policy: str = "random") -> Experiment:
    crowd = Traffic(Poisson(rate), duration=5, clients=3)
    return Experiment(servers(count, service=Exponential(0.1)), crowd, policy=policy, seed=1)


def pair(rate: int = 8) -> tuple[Experiment, Experiment]:
    return build(rate, 2), build(rate, 2, "round_robin")


LOAD = Step("Move the load.", rate=(4, 20, 8))
COUNT = Step("Add servers.", count=2, policy=["random", "round_robin"])


def scene() -> Scene:
    return Scene(build, LOAD, COUNT)


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LBKIT_PROGRESS", str(tmp_path / "progress.json"))


def requests(scene: Scene) -> int:
    return len(scene.theatre.films[0].requests["sent"])


def test_it_begins_with_the_first_sentence_and_its_control() -> None:
    shown = scene()
    assert (shown.narrator.text, shown.narrator.step, shown.narrator.next) == ("Move the load.", 1, "next")
    assert shown.row.children == (shown.controls["rate"],)
    assert requests(shown) == len(run(build()))
    assert shown.said.value.startswith("<div")
    assert "on average" in shown.said.value


def test_the_next_idea_brings_its_values_and_controls() -> None:
    shown = scene()
    shown.narrator._received(None, {"go": "next"}, [])
    assert shown.narrator.text == "Add servers."
    assert [c.description for c in shown.row.children] == ["rate", "policy"]
    assert len(shown.theatre.films[0].servers) == 2
    assert shown.narrator.next == "start again"
    shown.narrator._received(None, {"go": "back"}, [])
    assert len(shown.theatre.films[0].servers) == 1
    assert len(shown.row.children) == 1


def test_controls_may_have_a_plain_name_and_a_tooltip() -> None:
    labels = {"rate": ("requests a second", "on average"), "policy": "algorithm"}
    shown = Scene(build, LOAD, COUNT, labels=labels)
    shown.go(2)
    assert [(c.description, c.tooltip) for c in shown.row.children] == [
        ("requests a second", "on average"),
        ("algorithm", None),
    ]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"rat": "requests"}, "labels: unknown control rat; known are rate, policy.*rate"),
        ({"count": "servers"}, "labels: unknown control count"),
        ({"rate": 3}, r"labels: rate is 3: use a text, or \(label, tooltip\)"),
        ({"rate": ("a", "b", "c")}, r"use a text, or \(label, tooltip\)"),
        ({"rate": ("a", 1)}, r"use a text, or \(label, tooltip\)"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Scene(build, LOAD, COUNT, labels=labels)


def test_a_moved_control_shows_another_film_once() -> None:
    shown = scene()
    before, number = requests(shown), shown.theatre.number
    shown.controls["rate"].value = 20
    assert requests(shown) > 2 * before
    assert shown.theatre.number == number + 1


def test_in_a_notebook_many_moves_are_few_films() -> None:
    async def drag() -> tuple[Scene, int]:
        shown = scene()
        await asyncio.sleep(0)
        number = shown.theatre.number
        for rate in range(9, 21):
            shown.controls["rate"].value = rate
        while shown._pace.task is None or not shown._pace.task.done():
            await asyncio.sleep(0.01)
        return shown, shown.theatre.number - number

    shown, films = asyncio.run(drag())
    assert 1 <= films <= 2
    assert requests(shown) == len(run(build(20)))


def test_starting_again_puts_the_first_values_back() -> None:
    shown = scene()
    shown.go(2)
    shown.controls["rate"].value = 20
    shown.narrator._received(None, {"go": "next"}, [])
    assert (shown.step, shown.controls["rate"].value) == (1, 8)
    assert requests(shown) == len(run(build()))


def test_the_next_idea_is_played_from_its_beginning_and_a_moved_control_is_not() -> None:
    shown = scene()
    shown.go(2)
    assert '"again": true' in shown.theatre.spec
    shown.controls["rate"].value = 12
    assert '"again": false' in shown.theatre.spec


def asking() -> tuple[Scene, Any]:
    guess = predict("scene-test", "Will requests wait?", ["no", "yes"])
    ask = Step("Two servers.", ask=guess, outcome=lambda result: int(result.mean > 0), count=(1, 4, 2))
    return Scene(build, LOAD, ask), guess


def test_a_step_that_asks_shows_nothing_before_the_guess() -> None:
    shown, guess = asking()
    shown.controls["rate"].value = 20
    shown.go(2)
    assert shown.theatre.layout.visibility == "hidden"
    assert shown.said.value == ""
    assert shown.row.children == (shown.controls["rate"],)
    assert shown.controls["rate"].value == 8  # what the question is about
    assert shown.narrator.next == "show without a guess"
    guess.answers[0].click()
    assert shown.theatre.layout.visibility is None
    assert len(shown.row.children) == 2
    (told,) = shown.question.children
    assert "You predicted “no”. It is “yes”." in told.children[0].value
    shown.go(1)
    assert shown.question.children == ()


def test_a_guess_may_be_left_out_or_be_known_already() -> None:
    shown, guess = asking()
    shown.go(2)
    shown.narrator._received(None, {"go": "next"}, [])
    assert shown.step == 2
    assert shown.theatre.layout.visibility is None
    assert shown.question.children == (guess,)
    guess.answers[1].click()
    assert "You were right" in guess.said.value
    again, _ = asking()
    again.go(2)
    assert again.theatre.layout.visibility is None


def test_a_first_step_may_ask_and_the_answer_is_about_the_first_values() -> None:
    guess = predict("scene-first", "How many servers are there?", ["one", "two"])
    shown = Scene(build, Step("One.", ask=guess, outcome=lambda r: len(r.backends) - 1, count=(1, 4, 1)))
    assert shown.row.children == ()
    shown.controls["count"].value = 2
    guess.answers[0].click()
    assert "You were right" in shown.question.children[0].children[0].value
    assert shown.controls["count"].value == 1
    assert len(shown.row.children) == 1


@pytest.mark.parametrize("broken", [{"say": lambda result: 1 / 0}, {}])
def test_an_error_in_what_is_said_or_revealed_is_shown(broken: dict[str, Any]) -> None:
    guess = predict("scene-broken", "Really?", ["no", "yes"])
    guess.answers[0].click()
    shown = Scene(build, Step("One.", ask=guess, outcome=lambda result: 1 // 0), **broken)
    assert "ZeroDivisionError" in shown.said.value


def test_two_experiments_stand_side_by_side() -> None:
    shown = Scene(pair, LOAD)
    assert [film.policy for film in shown.theatre.films] == ["random", "round_robin"]
    assert shown.said.value.count("on average") == 2
    assert "round robin, 2 servers: took" in shown.said.value
    assert (shown.narrator.count, shown.narrator.next) == (1, "")


def test_results_are_those_of_a_step_wherever_the_controls_are() -> None:
    shown = scene()
    shown.go(2)
    shown.controls["rate"].value = 20
    (result,) = shown.results(2)
    assert (len(result), result.policy, result.backends) == (len(run(build())), "random", ("s1", "s2"))


def test_what_the_viewer_does_by_hand_is_said_too() -> None:
    shown = scene()
    before = shown.said.value
    shown.theatre._received(shown.theatre, {"do": "kill", "server": "s1", "at": 2.0, "stage": 0}, [])
    assert "had no good answer" in shown.said.value != before


def test_an_error_of_a_moved_control_is_shown_and_one_of_a_later_step_is_raised() -> None:
    def fragile(rate: int = 8, count: int = 1) -> Experiment:
        if count > 2:
            raise RuntimeError("too <many>")
        return build(rate, count)

    shown = Scene(fragile, Step("One.", count=(1, 4, 1)))
    shown.controls["count"].value = 3
    assert "RuntimeError: too &lt;many&gt;" in shown.said.value
    shown.controls["count"].value = 2
    assert "RuntimeError" not in shown.said.value
    with pytest.raises(RuntimeError, match="too <many>"):
        Scene(fragile, LOAD, Step("Three.", count=3))


@pytest.mark.parametrize("message", [None, "next", {}, {"go": 3}, {"go": "on"}])
def test_a_message_that_is_no_button_leads_nowhere(message: object) -> None:
    scene = Scene(build, Step("One."), Step("Two."))
    scene.narrator._received(scene.narrator, message, [])
    assert scene.step == 1


def test_words_of_ones_own_may_stand_below() -> None:
    shown = Scene(build, LOAD, say=lambda result: f"{len(result)} <requests>")
    assert f"{requests(shown)} &lt;requests&gt;" in shown.said.value


def test_a_saved_notebook_keeps_the_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Mock()
    monkeypatch.setattr(IPython.display, "display", lambda *_, **__: place)
    shown = scene()
    shown._ipython_display_()
    kept = place.update.call_args.args[0]["text/html"]
    assert "Move the load." in kept
    assert "on average" in kept
    assert "Run the cell" in kept
    shown.theatre._received(shown.theatre, {"still": "data:1", "width": 9, "words": "all idle"}, [])
    assert "data:1" in place.update.call_args.args[0]["text/html"]
    shown.go(2)
    kept = place.update.call_args.args[0]["text/html"]
    assert "Add servers." in kept
    assert shown.said.value in kept
    assert "data:1" not in kept  # a picture of the step before

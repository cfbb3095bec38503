"""A prediction is asked first, kept, and then shown beside what happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from needs import need_module

need_module("ipywidgets")

from lbkit.course import predict
from lbkit.course.progress import read_progress
from lbkit.course.question import Choice, Number


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "progress.json"
    monkeypatch.setenv("LBKIT_PROGRESS", str(path))
    return path


def queue(**more: Any) -> Any:
    return predict("queue", "How many <wait>?", between=(0, 200), unit="requests", **more)


def test_an_answer_that_is_known_beforehand_is_told_at_once() -> None:
    asked = predict("lab", "How many?", ["one", "two"], right=1)
    assert asked.said.value == ""
    asked.answers[0].click()
    assert "You predicted “one”. It is “two”. Now see why." in asked.said.value
    assert read_progress()["predictions"]["lab"] == {"guess": "one", "right": False}


def test_a_number_stands_beside_what_was_measured() -> None:
    asked = queue()
    asked.slider.value = 30
    asked.answers[1].click()
    assert "You predicted 30 requests. Run on, and see." in asked.said.value
    assert read_progress()["predictions"]["queue"] == {"guess": 30}
    (beside,) = asked.reveal(152.4).children
    assert "You predicted 30 requests. Measured: 152 requests. Now see why." in beside.value
    assert "▽" in beside.value
    assert read_progress()["predictions"]["queue"] == {"guess": 30, "right": False}


def test_what_happened_waits_for_a_prediction() -> None:
    """As when all cells are run at once."""
    asked = queue()
    (beside,) = asked.reveal(152).children
    assert "You have not predicted this yet" in beside.value
    assert "152" not in beside.value + asked.said.value
    asked.slider.value = 150
    asked.answers[1].click()
    assert "Measured: 152 requests. You were right." in beside.value


def test_the_first_guess_is_kept_and_shown_again() -> None:
    first = queue()
    first.slider.value = 10
    first.answers[1].click()
    again = queue()
    assert all(way.disabled for way in again.answers)
    again.slider.value = 150
    again.answers[1].click()
    assert "You predicted 10 requests" in again.reveal(150).children[0].value
    assert read_progress()["predictions"]["queue"] == {"guess": 10, "right": False}


def test_an_answer_is_revealed_by_its_number_or_its_text() -> None:
    asked = predict("when", "When?", ["at once", "never"])
    asked.answers[1].click()
    for happened in (1, "never"):
        assert "You were right" in asked.reveal(happened).children[0].value
    with pytest.raises(ValueError, match="2 is no answer: use a number from 0 to 1, or one of"):
        asked.reveal(2)


def test_a_guess_that_cannot_be_noted_is_shown_all_the_same(file: Path) -> None:
    asked = queue()
    file.write_text("[1, 2")
    asked.answers[1].click()
    assert "You predicted 100 requests" in asked.said.value
    assert "mend it, or delete it" in asked.said.value


def test_nothing_is_written_without_a_click(file: Path) -> None:
    queue().reveal(3)
    assert not file.exists()


def test_texts_are_escaped() -> None:
    assert "&lt;wait&gt;" in queue().children[0].value


def test_a_question_that_cannot_be_answered_is_an_error() -> None:
    for bad, said in (
        ({}, "give either answers, or a range"),
        ({"answers": ["a", "b"], "between": (0, 1)}, "give either answers, or a range"),
        ({"answers": ["a"]}, "at least two different ones"),
        ({"between": (3, 3)}, r"between is \(3, 3\)"),
        ({"answers": ["a", "b"], "right": 2}, "use a number from 0 to 1"),
    ):
        with pytest.raises(ValueError, match=said):
            predict("bad", "?", **bad)


def test_numbers_are_written_as_people_say_them() -> None:
    assert [Number(0, 9, "%").says(5), Number(0, 9, "s").says(5.25), Number(0, 9).says(1234.0)] == [
        "5 %",
        "5.25 s",
        "1,234",
    ]
    assert Choice(("a", "b")).says(0) == "“a”"


def test_what_is_outside_of_the_range_widens_the_scale() -> None:
    picture = Number(0, 100, "s").picture(50, 200)
    assert "left: 25.0%" in picture
    assert "left: 100.0%" in picture

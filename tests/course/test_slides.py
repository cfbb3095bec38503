"""Decks of slides: what is in them, what is wrong in them, and that a page is complete by itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lbkit import Experiment, Traffic, run, servers
from lbkit.cli import app
from lbkit.course.bank import all_questions, find_questions
from lbkit.course.slides import STAGES, all_decks, find_deck, page

DECKS = {name: find_deck(name) for name in all_decks()}


def test_there_is_a_deck_for_the_half_day_and_for_each_week() -> None:
    assert list(DECKS) == ["half-day", *(f"week-{number}" for number in range(1, 7))]


@pytest.mark.parametrize("name", DECKS)
def test_a_deck_has_stages_few_words_and_notes(name: str) -> None:
    slides = DECKS[name].slides
    assert any(slide.stage for slide in slides)
    for slide in slides:
        assert len(slide.title) <= 60  # a line at 1280 × 720
        if slide.question:  # numbers are drawn, so a title with others would be wrong
            (question,) = find_questions([slide.question])
            asked = question.variant(slide.seed).asked.text
            assert set(re.findall(r"\d+", slide.title)) <= set(re.findall(r"\d+", asked)), slide.title
        assert sum(len(point.split()) for point in slide.points) <= 25
        assert slide.notes or slide.points
    assert {slide.stage for slide in slides if slide.stage} <= set(STAGES)
    assert {slide.question for slide in slides if slide.question} <= {q.name for q in all_questions()}


def test_each_stage_is_used_and_small_enough_to_follow() -> None:
    assert {slide.stage for deck in DECKS.values() for slide in deck.slides} - {""} == set(STAGES)
    for made in STAGES.values():
        for experiment in made():
            assert 20 < len(run(experiment)) < 500


def test_what_the_notes_promise_happens() -> None:
    mean = {name: [run(e).mean for e in STAGES[name]()] for name in ("turns", "half-and-busy", "layers")}
    assert mean["turns"][0] > 3 * mean["turns"][1]
    assert mean["half-and-busy"][1] > 3 * mean["half-and-busy"][0]
    assert mean["layers"][0] > 10 * mean["layers"][1]
    lost = {name: [run(e).error_rate for e in STAGES[name]()] for name in ("fast-failer", "crash", "leaving")}
    assert all(before > 2 * after for before, after in lost.values())
    assert lost["leaving"][1] == 0
    calm, clicking = (run(e).where(arrival=lambda t: t > 9).error_rate for e in STAGES["storm"]())
    assert calm < 0.1 < 0.9 < clicking


def test_a_page_has_all_in_it_and_asks_for_nothing() -> None:
    deck = DECKS["week-3"]
    text = page(deck)
    assert text.count("<section") == len(deck.slides)
    assert not re.search(r"""(?:src|href)=|@import|\bimport\s|fetch\(|https?://(?!www\.w3\.org)""", text)
    (said,) = re.findall(r'<script type="application/json" id="specs">(.*?)</script>', text, re.DOTALL)
    assert len(json.loads(said)) == sum(bool(slide.stage) for slide in deck.slides)
    assert "export " not in text.rpartition('<script type="module">')[2]


DECK = 'title = "Mine"\n[[slides]]\ntitle = "A run of ours"\n'


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_deck_of_ones_own_shows_experiments_from_files(tmp_path: Path) -> None:
    own = Experiment(servers(2), Traffic(duration=3), name="our site </script>")
    (tmp_path / "ours.toml").write_text(own.to_toml(), encoding="utf-8")
    text = page(find_deck(written(tmp_path, f'{DECK}stage = "ours.toml"\nnotes = "a < b"\n')))
    assert "our site" in text
    assert text.count("</script>") == 2
    assert "a &lt; b" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = ", "no TOML"),
        ('title = "Mine"', r"\[\[slides\]\]"),
        (f'{DECK}tilte = "x"', "slide 1: .*tilte.*title"),
        (f'{DECK}stage = "turns"\nquestion = "03-hot-key"', "use two slides"),
        (f"{DECK}notes = 3", "slide 1: .*notes"),
        ('title = "x"\n[[slides]]\nnotes = "x"', "slide 1: it has no title"),
    ],
)
def test_what_is_wrong_in_a_deck_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        find_deck(written(tmp_path, text))


@pytest.mark.parametrize(
    ("field", "said"),
    [('stage = "tunrs"', "turns"), ('question = "03-hot-kye"', "03-hot-key"), ('stage = "x.toml"', "x.toml")],
)
def test_what_a_slide_names_has_to_be_there(tmp_path: Path, field: str, said: str) -> None:
    deck = find_deck(written(tmp_path, f"{DECK}{field}\n"))
    with pytest.raises(ValueError, match=f"mine, slide 1 .*{said}"):
        page(deck)


def test_the_command_writes_decks(tmp_path: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(app, ["slides", "week-4", "--to", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "week-4.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "half-day" in runner.invoke(app, ["slides", "--list"]).output
    wrong = runner.invoke(app, ["slides", "week-9"])
    assert wrong.exit_code == 2
    assert "week-" in wrong.output

"""A deck of slides in a real browser: keys, notes, answers, and a stage that plays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser.audit import findings
from browser.test_playground import until

from lbkit.course.slides import find_deck, write

pytestmark = pytest.mark.browser
SHOWN = "section:not([hidden])"
STAGE = f"document.querySelector('{SHOWN} .theatre').theatre"


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory, new_page: Callable[[], Any]) -> Iterator[Any]:
    path = write(find_deck("week-2"), tmp_path_factory.mktemp("slides") / "week-2.html")
    page = new_page()
    page.set_viewport_size({"width": 1280, "height": 720})
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(f"file://{path}")
    yield page
    page.close()


def at(page: Any, number: int) -> None:
    """Go to a slide, by its address."""
    page.evaluate(f"location.hash = '#{number}'")
    until(lambda: page.locator("#place").inner_text() == f"{number} of 11", f"slide {number}")


def test_keys_lead_through_the_slides(deck: Any) -> None:
    at(deck, 1)
    for key, number in (
        ("ArrowRight", 2),
        ("PageDown", 3),
        ("ArrowLeft", 2),
        ("End", 11),
        ("ArrowRight", 11),
        ("Home", 1),
    ):
        deck.keyboard.press(key)
        assert deck.locator("#place").inner_text() == f"{number} of 11"
        assert deck.locator(SHOWN).count() == 1
    assert deck.url.endswith("#1")


def test_space_plays_the_stage_and_another_slide_stops_it(deck: Any) -> None:
    at(deck, 3)
    deck.keyboard.press(" ")
    until(lambda: deck.evaluate(f"{STAGE}.player.t") > 0.1, "the film runs")
    moving = deck.locator(f"{SHOWN} .lbt-picture canvas").nth(1)
    seen = moving.evaluate("canvas => canvas.toDataURL()")
    until(lambda: moving.evaluate("canvas => canvas.toDataURL()") != seen, "dots move")
    deck.keyboard.press("ArrowRight")
    assert deck.evaluate("document.querySelectorAll('.theatre')[1].theatre.player.playing") is False


def test_a_full_stop_steps_to_the_next_decision(deck: Any) -> None:
    at(deck, 3)
    deck.evaluate(f"{STAGE}.player.seek(0)")
    deck.keyboard.press(".")
    until(lambda: "→" in deck.locator(f"{SHOWN} .lbt-caption").first.inner_text(), "a decision and why")


@pytest.mark.parametrize("size", [(1280, 720), (1024, 768), (1920, 1080)])
def test_stages_fit_and_their_letters_are_large(deck: Any, size: tuple[int, int]) -> None:
    deck.set_viewport_size({"width": size[0], "height": size[1]})
    for number in (2, 3, 6, 8):
        at(deck, number)
        box = deck.locator(f"{SHOWN} .lbt-bar").bounding_box()
        assert box["y"] + box["height"] <= size[1]
        pixels = deck.evaluate(
            f"parseFloat(getComputedStyle(document.querySelector('{SHOWN} .lbt-head strong')).fontSize)"
            f" * document.querySelector('{SHOWN} .theatre').currentCSSZoom"
        )
        assert pixels > size[1] / 50
    deck.set_viewport_size({"width": 1280, "height": 720})


def test_an_answer_comes_before_the_next_slide(deck: Any) -> None:
    at(deck, 5)
    answer = deck.locator(f"{SHOWN} .answer")
    assert not answer.is_visible()
    deck.keyboard.press("ArrowRight")
    assert answer.is_visible()
    assert deck.locator(f"{SHOWN}.answered [data-right]").inner_text() in answer.inner_text()
    deck.keyboard.press("ArrowRight")
    assert deck.locator("#place").inner_text() == "6 of 11"


def test_notes_are_below_the_slide_or_in_a_window_of_their_own(deck: Any) -> None:
    at(deck, 3)
    notes = deck.locator(f"{SHOWN} .notes")
    assert not notes.is_visible()
    deck.keyboard.press("s")
    assert "Stop at second 5" in notes.inner_text()
    deck.keyboard.press("s")
    with deck.context.expect_page() as opened:
        deck.keyboard.press("n")
    assert "Stop at second 5" in opened.value.inner_text("body")
    deck.bring_to_front()
    deck.keyboard.press("ArrowRight")
    until(lambda: "The pool has room" in opened.value.inner_text("body"), "the next slide's notes")
    opened.value.close()


def test_axe_has_no_serious_findings_on_any_slide(deck: Any) -> None:
    for number in range(1, 12):
        at(deck, number)
        assert findings(deck) == [], number
    deck.keyboard.press("s")  # and the notes
    assert findings(deck) == []
    deck.keyboard.press("s")


def test_nothing_is_asked_of_any_server_and_nothing_goes_wrong(deck: Any) -> None:
    assert [url for url in deck.asked if not url.startswith(("file:", "about:"))] == []
    assert deck.problems == []

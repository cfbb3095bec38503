"""Panels of the notebooks 04 to 07b, alone in a notebook of their own, as running those takes minutes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser.jupyter import Lab, open_notebook, run_all
from browser.test_playground import drawn, move, until

pytestmark = pytest.mark.browser

CELLS = [
    "from lbkit.viz import HealthPanel\nHealthPanel(interval=2, fall=3, rise=2)",
    """from lbkit import Experiment, run, servers
from lbkit.viz import Explorer, figures

def explored(load, size, sticky):
    return figures.latency_cdf([run(Experiment(servers(size)).but(duration=5).at_load(load))])

Explorer(explored, load=(0.1, 0.9, 0.5), size=(1, 8, 3), sticky=False)""",
    """from lbkit.viz import Theatre

theatre = Theatre(run(Experiment(servers(3)).but(duration=5).at_load(0.7)))
theatre""",
    """from lbkit.course import predict
from lbkit.viz import Scene, Step

def build(load=0.5, count=1):
    return Experiment(servers(count)).but(duration=5).at_load(load)

guess = predict("panels-scene", "How many servers do you see?", ["one", "two"])
Scene(build, Step("Move the load.", load=(0.1, 0.9, 0.5)), Step("Count.", ask=guess,
    outcome=lambda result: len(result.backends) - 1, count=(1, 4, 2)))""",
]


@pytest.fixture(scope="module")
def page(lab: Lab, new_page: Callable[[], Any]) -> Iterator[Any]:
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    cells = [cell | {"id": f"c{i}", "source": source} for i, source in enumerate(CELLS)]
    book = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (lab.folder / "panels.ipynb").write_text(json.dumps(book))
    page = new_page()
    open_notebook(page, lab, "panels.ipynb")
    run_all(page)
    yield page
    page.close()


def test_a_stricter_rule_takes_a_healthy_server_out(page: Any) -> None:
    panel = ".lbkit-health-panel"
    page.locator(f"{panel} .lbkit-figure").first.scroll_into_view_if_needed()
    words = page.locator(panel).inner_text()
    assert "never out of service" in words
    move(page, "fall", "Home", within=panel)
    until(lambda: "times out of service" in page.locator(panel).inner_text(), "another finding")


def test_a_slider_of_an_explorer_redraws_its_figure(page: Any) -> None:
    panel = ".lbkit-explorer"
    figure = page.locator(f"{panel} .lbkit-figure").first
    figure.scroll_into_view_if_needed()
    before = drawn(figure)
    move(page, "load", "ArrowRight", within=panel)
    until(lambda: drawn(figure) > before, "a redraw")
    place, title = figure.bounding_box(), figure.locator(".gtitle").bounding_box()
    assert title["x"] >= place["x"]
    assert title["x"] + title["width"] <= place["x"] + place["width"]


def test_a_theatre_has_its_keys_to_itself(page: Any) -> None:
    theatre = page.locator(".lbkit-theatre").first
    theatre.scroll_into_view_if_needed()
    theatre.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
        until(lambda: theatre.get_attribute("data-playing") == "false", "the end of the step")
    assert page.get_by_text("Traceback").count() == 0
    assert "goes to s" in theatre.locator(".lbt-live").inner_text()
    assert theatre.evaluate("root => root === document.activeElement")
    assert page.locator(".jp-Cell.jp-mod-active .lbkit-theatre").count() == 1
    cell = page.locator(".jp-Cell:has(.lbkit-theatre)").first  # with the picture for the saved notebook
    cell.locator(".lbkit-still img").wait_for(state="attached")


SCENE = ".lbkit-scene"


def test_the_next_idea_of_a_scene_asks_first_and_brings_its_control(page: Any) -> None:
    scene = page.locator(SCENE)
    scene.scroll_into_view_if_needed()
    stage = scene.locator(".lbkit-theatre")
    assert scene.locator("[aria-live] >> text=Move the load.").count() == 1
    assert scene.locator(".widget-slider:has-text('count')").count() == 0
    button = scene.get_by_role("button", name="next", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    until(lambda: scene.get_by_role("button", name="show without a guess").count(), "a question")
    assert not stage.is_visible()
    scene.get_by_role("button", name="two", exact=True).click()
    until(stage.is_visible, "the film")
    until(lambda: "You were right" in scene.inner_text(), "the answer")
    assert "2 servers" in stage.inner_text()
    assert scene.locator(".widget-slider:has-text('count')").count() == 1


def test_a_slider_of_a_scene_shows_another_film_at_the_same_moment(page: Any) -> None:
    scene = page.locator(SCENE)
    theatre = scene.locator(".lbkit-theatre").evaluate_handle("root => root.parentElement.theatre")
    theatre.evaluate("theatre => { theatre.player.pause(); theatre.player.seek(2); }")
    move(page, "count", "ArrowRight", within=SCENE)
    until(lambda: "3 servers" in scene.inner_text(), "a third server")
    assert theatre.evaluate("theatre => theatre.player.t") == 2
    scene.get_by_role("button", name="start again").click()
    until(lambda: "1 server" in scene.locator(".lbkit-theatre").inner_text(), "the first film")
    assert scene.locator(".widget-slider:has-text('count')").count() == 0

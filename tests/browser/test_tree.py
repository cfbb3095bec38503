"""Layers of balancers on the stage: tiers that one can break, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from films import result_of

from lbkit.viz.theatre import film
from lbkit.viz.theatre.page import page as saved

pytestmark = pytest.mark.browser
SEEK = "at => document.getElementById('theatre').theatre.player.seek(at)"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, new_page: Callable[[], Any]) -> Iterator[Any]:
    path = tmp_path_factory.mktemp("tree") / "x.html"
    html = saved([film(result_of("layers")).to_dict()]).replace(
        '"hands":null', '"hands":{"policies":["random"]}'
    )
    path.write_text(
        html.replace("off() {}", "off() {}, send(said) { (window.sent ??= []).push(said); }"), "utf-8"
    )
    page = new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(f"file://{path}")
    yield page
    page.close()


def test_each_tier_is_a_button_that_breaks_it(stage: Any) -> None:
    stage.evaluate(SEEK, 3.0)
    stage.evaluate("window.sent = []")
    stage.get_by_role("button", name="tier region-2").click()
    stage.get_by_role("menuitem", name="kill", exact=True).click()
    sent = stage.evaluate("window.sent.filter((said) => said.do)")
    assert sent == [{"do": "kill", "server": "region-2", "at": 3, "stage": 0}]


def test_a_broken_tier_can_be_revived(stage: Any) -> None:
    stage.evaluate(SEEK, 8.0)
    stage.get_by_role("button", name="tier zone-1a").click()
    assert stage.get_by_role("menuitem", name="revive", exact=True).count() == 1
    stage.keyboard.press("Escape")


def test_the_caption_says_which_layer_noticed(stage: Any) -> None:
    noticed = next(n for n in film(result_of("layers")).notices if n["text"].startswith("farm-2b takes s7"))
    stage.evaluate(SEEK, noticed["at"] + 0.01)
    assert stage.locator(".lbt-caption").inner_text() == noticed["text"]


def test_what_is_broken_is_said_to_those_who_hear_it(stage: Any) -> None:
    stage.evaluate(SEEK, 8.0)
    assert "zone-1a, down; " in stage.locator(".lbt-live").inner_text()


def test_the_way_to_each_server_leads_through_its_tiers(stage: Any) -> None:
    of_server = stage.evaluate(
        """() => {
          const { layout } = document.getElementById("theatre").theatre.stages[0];
          return layout.routes.map((route) => route.map(({ x }) => x));
        }"""
    )
    assert [len(way) for way in of_server] == [7] * 8  # the entrance, five tiers, the server
    assert all(way == sorted(way) for way in of_server)


def test_nothing_goes_wrong(stage: Any) -> None:
    assert stage.problems == []

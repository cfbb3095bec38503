"""The ring with its keys, the owners where there is no ring, and the cache, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser.stage_page import SHOW, opened
from films import cached, result_of

from lbkit import run
from lbkit.viz.theatre import film
from lbkit.viz.theatre.script import spec

pytestmark = pytest.mark.browser
SCRUB = """() => {
  const { theatre } = document.getElementById("theatre");
  const { player, stages } = theatre;
  const seen = new Set();
  for (let i = 0; i <= 200; i++) {
    player.seek(player.begin + ((player.end - player.begin) * i) / 200);
    if (i % 10) continue;
    seen.add(stages.map(({ props }) => props.map(({ canvas }) => canvas.toDataURL().length)).join());
  }
  return seen.size;
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, new_page: Callable[[], Any]) -> Iterator[Any]:
    page = opened(new_page(), tmp_path_factory.mktemp("theatre"), [film(result_of("ring")).to_dict()])
    yield page
    page.close()


def show(page: Any, *names: str) -> None:
    page.evaluate(SHOW, json.dumps(spec([film(result_of(name)).to_dict() for name in names])))


def at(page: Any, time: float, kind: str) -> Any:
    page.evaluate(f"document.getElementById('theatre').theatre.player.seek({time})")
    return page.locator(f".lbt-prop-{kind} .lbt-prop-words").inner_text()


def test_when_a_server_leaves_it_says_how_many_keys_move(page: Any) -> None:
    show(page, "ring")
    assert at(page, 0.0, "ring") == "36 keys of 5 servers."
    words = at(page, 1.55, "ring")
    assert "s2 left; 4 of 36 keys moved (1/5 expected). /item/" in words
    canvas = page.locator(".lbt-prop-ring canvas")
    assert canvas.get_attribute("aria-label").startswith("hash ring, 40 points: 36 keys (by path): ")


def test_the_cache_says_its_hit_rate_and_why(page: Any) -> None:
    show(page, "cache")
    words = at(page, 7.0, "cache")
    counts = result_of("cache").cache_counts
    rate = round(100 * result_of("cache").hit_rate)
    assert words.startswith(f"hit rate {rate} %: {counts['hit']} hits, {counts['stale']} stale answers")
    made = film(result_of("cache"))
    hit = next(caption for caption in made.captions if caption.get("where") == "cache")
    at(page, hit["at"], "cache")
    caption = page.locator(".lbt-caption").inner_text()
    assert caption.endswith(f"→ cache: {hit['text']}")


def test_a_request_that_the_cache_answers_flies_home_from_there(page: Any) -> None:
    show(page, "cache")
    made = film(result_of("cache"))
    hit = next(c for c in made.captions if "stale" in c["text"])  # it is fetched anew at the same time
    at(page, hit["at"] + made.flight / 2, "cache")
    dots = page.evaluate("document.getElementById('theatre').theatre.stages[0].moment.dots")
    mine = [dot for dot in dots if dot["request"] == hit["request"]]
    assert [dot["phase"] for dot in mine if dot["attempt"] < 0] == ["home"]
    assert all(dot["cached"] for dot in mine if dot["attempt"] < 0)


@pytest.mark.parametrize("names", [("ring", "overflow"), ("owners", "cache")])
def test_they_are_drawn_at_any_time_and_on_a_narrow_page(page: Any, names: tuple[str, str]) -> None:
    show(page, *names)
    for width in (420, 1400):
        page.set_viewport_size({"width": width, "height": 1000})
        page.evaluate("document.getElementById('theatre').theatre.refresh()")
        assert page.evaluate(SCRUB) > 15
    assert page.problems == []


def test_without_a_recording_the_cache_shows_what_became_of_requests(page: Any) -> None:
    made = film(run(cached()))
    page.evaluate(SHOW, json.dumps(spec([made.to_dict()])))
    words = at(page, 7.0, "cache")
    assert words.startswith("hit rate ")
    assert "KiB" not in words
    assert page.evaluate(SCRUB) > 10
    assert page.problems == []

"""Props of the stage in a real browser: each film of tests/films.py is played from its start to its end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser.stage_page import SHOW, opened
from films import EXPERIMENTS, result_of
from viz.theatre.toy import every_outcome

from lbkit.core.limit import TokenBucket
from lbkit.viz.theatre import film
from lbkit.viz.theatre.props.limiter import unplayed
from lbkit.viz.theatre.script import spec

pytestmark = pytest.mark.browser

# Seeks through the film; returns for each prop its words by time, and the most colours that its picture had.
SCRUB = """steps => {
  const { theatre } = document.getElementById("theatre");
  const { player, stages } = theatre;
  const colours = (canvas) => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height);
    const pen = copy.getContext("2d", { willReadFrequently: true });
    pen.drawImage(canvas, 0, 0);
    const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  };
  const found = stages[0].props.map(({ prop }) => ({ kind: prop.kind, words: [], colours: 0 }));
  for (let i = 0; i <= steps; i++) {
    player.seek(player.begin + ((player.end - player.begin) * i) / steps);
    stages[0].props.forEach((view, k) => {
      found[k].words.push(view.words.textContent);
      if (i % 8 === 4) found[k].colours = Math.max(found[k].colours, colours(view.canvas));
    });
  }
  return found;
}"""
SEEK = "t => document.getElementById('theatre').theatre.player.seek(t)"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, new_page: Callable[[], Any]) -> Iterator[Any]:
    page = opened(new_page(), tmp_path_factory.mktemp("props"), [every_outcome()])
    yield page
    page.close()


def show(page: Any, name: str) -> None:
    page.evaluate(SHOW, json.dumps(spec([film(result_of(name)).to_dict()])))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_props_are_drawn_at_any_time_and_said_in_words(page: Any, name: str) -> None:
    kinds = [prop["kind"] for prop in film(result_of(name)).props]
    if not kinds:
        return
    size = page.viewport_size
    for width in (1366, 420):
        page.set_viewport_size({"width": width, "height": 900})
        show(page, name)
        seen = page.evaluate(SCRUB, 48)
        assert {prop["kind"] for prop in seen} <= set(kinds)
        for prop in seen:
            assert prop["colours"] > 12, prop
            assert len(set(prop["words"])) > 1, prop
            assert not any(
                re.search(r"NaN|undefined|null|Infinity|-0\b|\[obj", said) for said in prop["words"]
            )
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size(size)
    assert page.problems == []


def words_at(page: Any, now: float) -> str:
    page.evaluate(SEEK, now)
    said: str = page.locator(".lbt-prop-words").first.inner_text()
    return said


def test_the_words_of_a_bucket_are_what_the_limiter_says(page: Any) -> None:
    show(page, "limiter")
    result = result_of("limiter")
    bucket = TokenBucket(8, 5)
    for at, client in zip(result.arrival, result.client, strict=True):
        if client == 0 and not bucket.allows("", at) and at > 1:
            break
    now = at + 0.001
    decision = bucket.would("", now)
    wait = f"{decision.retry_after:.1g}"
    left = int(10 * decision.remaining) / 10
    assert words_at(page, now).startswith(f"c0: {left:g} of 5 tokens; next in {wait} s")


def test_a_queue_and_a_gate_say_who_waits(page: Any) -> None:
    show(page, "shaper")
    (cell,) = film(result_of("shaper")).props[0]["cells"]
    wait = sum(at <= 1.5 < out for at, out in zip(cell["at"], cell["out"], strict=True))
    assert words_at(page, 1.5).startswith(f"{wait} wait, room for 10; the next leaves in 0.0")
    show(page, "gate")
    assert re.fullmatch(r"13 of 13 at once; 11 wait \(oldest [\d.]+ s\); 16 rejected", words_at(page, 3.0))


def test_a_running_session_has_the_decisions_on_the_stage(page: Any) -> None:
    made = film(result_of("limiter")).to_dict()
    made["props"] = unplayed(result_of("limiter").experiment, made["clients"])
    page.evaluate(SHOW, json.dumps(spec([made])))
    (prop,) = page.evaluate(SCRUB, 24)
    assert prop["colours"] > 12
    page.evaluate(SEEK, 2.0)
    result = result_of("limiter")
    sent = zip(result.arrival, result.client, result.status, strict=True)
    recent = [status for at, client, status in sent if client == 0 and 1.2 <= at <= 2.0]
    denied = recent.count(429)
    words = f"c0: {len(recent) - denied} admitted, {denied} denied in the last 0.8 s"
    assert words_at(page, 2.0).startswith(words)


def test_a_limiter_that_the_kit_does_not_know_is_drawn_by_its_decisions(page: Any) -> None:
    made = film(result_of("limiter")).to_dict()
    for cell in made["props"][0]["cells"]:
        cell.update(shape="own", at=[], level=[], wait=[], limit=None, rate=None, window=None)
    page.evaluate(SHOW, json.dumps(spec([made])))
    (prop,) = page.evaluate(SCRUB, 24)
    assert prop["colours"] > 12
    assert re.match(r"c0: \d+ admitted, \d+ denied in the last 0.8 s", prop["words"][12])

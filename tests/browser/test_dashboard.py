"""The dashboard: on a page that is told what comes, and in JupyterLab with a real session."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import nbformat
import pytest
from browser.dashboard_page import opened, write
from browser.jupyter import Lab, ended, open_notebook, start_all
from browser.test_playground import until
from needs import need_feature, need_module

need_module("anywidget")

from lbkit import Constant, Event, Experiment, Policy, Traffic, run, servers
from lbkit.viz import Dashboard

pytestmark = pytest.mark.browser

EXPERIMENT = Experiment(
    servers(3, service=Constant(0.05)),
    Traffic(duration=30),
    policy=Policy("round_robin", retries=0),
    events=[Event(8, "crash", "s1"), Event(20, "recover", "s1")],
).at_load(0.6)
# What lies on something else, is cut off, or makes the page scroll sideways.
FAULTS = """() => {
  const found = [];
  const names = ["words", "time", "lamp", "title", "item", "log", "play"];
  const classes = names.map((name) => `.lbd-${name}`).join();
  const words = [...document.querySelectorAll(classes)]
    .filter((one) => one.checkVisibility()).map((one) => [one.textContent, one.getBoundingClientRect()]);
  const root = board.el.getBoundingClientRect();
  for (const [i, [text, a]] of words.entries()) {
    if (a.right > root.right + 1 || a.bottom > root.bottom + 1) found.push(`outside: ${text}`);
    for (const [other, b] of words.slice(0, i))
      if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2)
        found.push(`${text} lies on ${other}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push("the page scrolls sideways");
  return found;
}"""


@pytest.fixture(scope="module")
def dashboard() -> Dashboard:
    return Dashboard(run(EXPERIMENT), pace=0)


@pytest.fixture
def page(new_page: Callable[[], Any]) -> Iterator[Any]:
    page = new_page()
    page.set_viewport_size({"width": 1010, "height": 620})
    yield page
    page.close()


def of(page: Any, what: str) -> Any:
    return page.evaluate(f"board.{what}")


def drawn(page: Any, charts: int = 4) -> None:
    until(lambda: page.locator(".lbd-plot .plot-container").count() == charts, "the charts")


def test_a_result_is_shown_as_a_whole_above_the_fold_in_light_and_dark(
    page: Any, dashboard: Dashboard, tmp_path: Any
) -> None:
    opened(page, write(tmp_path, dashboard))
    drawn(page)
    until(lambda: page.locator(".lbd-item").count() >= 7, "the legends")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        for width in (1010, 760, 420):
            page.set_viewport_size({"width": width, "height": 620})
            assert page.evaluate(FAULTS) == [], (theme, width)
    page.set_viewport_size({"width": 1010, "height": 620})
    assert page.locator(".lbkit-dashboard").bounding_box()["height"] < 560
    assert page.locator(".lbd-rule").all_inner_texts()[0] == "HighErrorRate"
    assert "crash s1" in of(page, "charts[0].place.layout.annotations.map((a) => a.text).join()")
    assert of(page, "charts[2].place.data[0].y") == ["s1", "s2", "s3"]
    assert page.problems == []


def test_keys_go_to_other_moments_which_are_read_aloud(
    page: Any, dashboard: Dashboard, tmp_path: Any
) -> None:
    opened(page, write(tmp_path, dashboard))
    drawn(page)
    board = page.locator(".lbkit-dashboard")
    end = float(board.get_attribute("data-at"))
    board.press("ArrowLeft")
    assert float(board.get_attribute("data-at")) == pytest.approx(end - 0.2, abs=0.05)
    spoken = page.locator(".lbd-spoken").inner_text()
    assert spoken.startswith("At ")
    assert "s2 in service" in spoken
    board.press("Home")
    assert float(board.get_attribute("data-at")) < 0.5
    for _ in range(3):
        board.press("PageDown")
    assert page.locator(".lbd-lamp").first.get_attribute("data-state") == "firing"
    assert "HighErrorRate" in page.locator(".lbd-spoken").inner_text()
    labels = [plot.get_attribute("aria-label") for plot in page.locator(".lbd-plot").all()]
    assert all("Requests:" in label for label in labels)


def test_a_result_plays_pauses_and_plays_again(page: Any, tmp_path: Any) -> None:
    opened(page, write(tmp_path, Dashboard(run(EXPERIMENT), pace=0.5)))
    board, button = page.locator(".lbkit-dashboard"), page.locator(".lbd-play")
    at = lambda: float(board.get_attribute("data-at"))  # noqa: E731
    until(lambda: at() > 0.3, "it plays")
    button.click()
    assert button.inner_text() == "play"
    rests = at()
    page.wait_for_timeout(500)
    assert at() == rests
    board.press(" ")
    until(lambda: at() > rests, "it goes on")
    board.press("End")
    assert button.inner_text() == "again"
    button.click()
    assert at() < 15
    assert page.problems == []


def test_with_reduced_motion_a_result_is_at_its_end_and_no_lamp_blinks(page: Any, tmp_path: Any) -> None:
    page.emulate_media(reduced_motion="reduce")
    opened(page, write(tmp_path, Dashboard(run(EXPERIMENT), pace=1)))
    drawn(page)
    assert of(page, "clock.over")
    style = "getComputedStyle(board.el.querySelector('.lbd-light')).animationName"
    assert page.evaluate(style) == "none"


# -- a session ---------------------------------------------------------------------------------------------


def live(dashboard: Dashboard, untold: str = "") -> dict[str, str]:
    spec = json.loads(dashboard.spec) | {"live": True, "window": 20, "untold": untold}
    spec.pop("pace")
    return {"spec": json.dumps(spec), "past": "{}"}


def frame(at: float, **more: Any) -> list[Any]:
    return [at, [[0, 50 + at % 7, 0, 0, at % 3, 0], [0.05, 0.08, 0.1]], [1, 2, 3], [0, 0, 3], [0, 1, 2, 3]]


def test_frames_are_appended_and_those_out_of_sight_are_forgotten(
    page: Any, dashboard: Dashboard, tmp_path: Any
) -> None:
    opened(page, write(tmp_path, dashboard, **live(dashboard)))
    assert page.evaluate("model.sent") == [{"do": "catch up"}]
    page.evaluate("frames => model.tell({ all: frames, notes: [] })", [frame(i / 5) for i in range(1, 20)])
    for i in range(20, 400):
        page.evaluate("more => model.tell({ more: [more], notes: [[more[0], 'kill s1', '']] })", frame(i / 5))
    assert of(page, "clock.frames.length") == 101
    assert of(page, "clock.notes.length") <= 102
    drawn(page)
    states = [lamp.get_attribute("data-state") for lamp in page.locator(".lbd-lamp").all()]
    assert states == ["quiet", "pending", "firing", "no data"]
    assert page.locator(".lbd-spoken").inner_text() == "kill s1"
    assert page.problems == []


def test_a_pause_keeps_the_picture_and_goes_on_with_the_present(
    page: Any, dashboard: Dashboard, tmp_path: Any
) -> None:
    opened(page, write(tmp_path, dashboard, **live(dashboard)))
    tell = lambda i: page.evaluate("more => model.tell({ more: [more] })", frame(i / 5))  # noqa: E731
    for i in range(1, 20):
        tell(i)
    board = page.locator(".lbkit-dashboard")
    board.press(" ")
    for i in range(20, 40):
        tell(i)
    assert board.get_attribute("data-at") == "3.8"
    assert of(page, "clock.frames.length") == 39
    board.press(" ")
    assert board.get_attribute("data-at") == "7.8"
    page.locator(".lbd-stop").click()
    assert page.evaluate("model.sent.at(-1)") == {"do": "stop"}
    past = {"frames": [frame(i / 5) for i in range(1, 20)], "notes": [], "over": "the run is over"}
    page.evaluate("past => model.set('past', past)", json.dumps(past))
    assert "the run is over" in page.locator(".lbd-time").inner_text()
    assert page.locator(".lbd-stop").is_hidden()
    until(lambda: page.evaluate("model.sent.some((sent) => sent.still)"), "a picture for the notebook")


def test_what_a_program_does_not_tell_is_said_and_nothing_is_drawn(
    page: Any, dashboard: Dashboard, tmp_path: Any
) -> None:
    why = "HAProxy has means only."
    opened(page, write(tmp_path, dashboard, **live(dashboard, why)))
    for i in range(1, 20):
        told = frame(i / 5)
        told[1][1] = []
        page.evaluate("more => model.tell({ more: [more] })", told)
    drawn(page)
    assert page.locator(".lbd-untold").inner_text() == why
    until(lambda: page.locator(".lbd-none:visible").count() == 1, "not told")
    assert page.locator(".lbd-none:visible").inner_text() == "not told"


def test_leaving_it_stops_its_clock(page: Any, dashboard: Dashboard, tmp_path: Any) -> None:
    opened(page, write(tmp_path, dashboard, **live(dashboard)))
    page.evaluate("leave()")
    page.evaluate("more => model.tell({ more: [more] })", frame(1))
    page.wait_for_timeout(300)
    assert page.locator(".lbd-plot .plot-container").count() == 0


CELLS = (
    "import asyncio, threading\nfrom lbkit import *\nfrom lbkit.live import LiveSession\n"
    "from lbkit.viz import Dashboard\n"
    "many = Experiment(servers(3, service=Constant(0.02)), Traffic(duration=120)).at_load(0.3)",
    "session = LiveSession(many).start()\nboard = Dashboard(session)\nboard",
    "session.crash('s1')\nwhile len(board.follower.frames) < 20: await asyncio.sleep(0.1)",
    "session.stop()\nprint('left:', [t.name for t in threading.enumerate() if 'dashboard' in t.name])",
)


def test_in_a_notebook_it_follows_real_processes_and_an_end_leaves_no_thread(
    lab: Lab, new_page: Callable[[], Any]
) -> None:
    need_feature("live")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    book.metadata = nbformat.read(lab.folder / "00-playground.ipynb", 4).metadata  # says which kernel
    nbformat.write(book, lab.folder / "dashboard.ipynb")
    page = new_page()
    page.set_viewport_size({"width": 1366, "height": 768})
    open_notebook(page, lab, "dashboard.ipynb")
    start_all(page)
    board = page.locator(".lbkit-dashboard")
    board.wait_for()
    until(lambda: int(board.get_attribute("data-frames") or 0) > 15, "frames on the page", 60)
    ended(page)
    said = page.locator(".jp-OutputArea-output:has-text('left:')").first.inner_text()
    assert "left: []" in said
    until(lambda: "the run is over" in page.locator(".lbd-time").inner_text(), "its end")
    assert "crash s1" in page.locator(".lbd-log").inner_text()
    page.close()

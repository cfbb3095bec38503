"""The workbench in JupyterLab: code is edited, run, marked where it is wrong, and put on the board."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import nbformat
import pytest
from browser.jupyter import Lab, open_notebook, run_all
from browser.test_playground import until

pytestmark = pytest.mark.browser

CELLS = (
    "from lbkit.course import house\n"
    "house.SCENARIOS = {name: house.SCENARIOS[name] for name in ('equal', 'unequal')}\n"
    "house.SEEDS = (1, 2)",
    "from lbkit.course.workbench import Workbench\nbench = Workbench()\nbench",
)
BENCH = ".lbkit-workbench"
TYPED = "class Own(Balancer):\ndef pick(self, backends, key, now):\nreturn backends[99]"


@pytest.fixture(scope="module")
def page(lab: Lab, new_page: Callable[[], Any]) -> Iterator[Any]:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    book.metadata = nbformat.read(lab.folder / "00-playground.ipynb", 4).metadata
    nbformat.write(book, lab.folder / "workbench.ipynb")
    page = new_page()
    page.set_viewport_size({"width": 1366, "height": 768})
    open_notebook(page, lab, "workbench.ipynb")
    run_all(page)
    yield page
    page.close()


def test_a_score_and_figures_are_there_and_fit_a_small_screen(page: Any) -> None:
    until(lambda: page.locator(f"{BENCH} :text('A decision takes')").count(), "a score", 60)
    page.evaluate(f"document.querySelector('{BENCH}').scrollIntoView()")
    until(lambda: page.locator(BENCH).bounding_box()["y"] < 120, "the panel on top")
    figure = page.locator(f"{BENCH} .lbkit-figure").first
    until(lambda: "mine" in (figure.locator(".legend").text_content() or ""), "a line of one's own")
    latency = figure.bounding_box()
    assert latency["y"] + latency["height"] <= 768 - 25
    for button in page.locator(f"{BENCH} button").all():
        assert button.evaluate("b => b.scrollWidth <= b.clientWidth + 1"), button.inner_text()


def test_keys_indent_run_and_an_error_marks_its_line(page: Any) -> None:
    area = page.locator(f"{BENCH} .lbkit-code textarea")
    area.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type(TYPED)
    page.keyboard.press("Control+Enter")
    until(lambda: page.locator(f"{BENCH} :text('IndexError')").count(), "an error")
    assert area.input_value().splitlines()[2] == "        return backends[99]"
    assert page.locator(f"{BENCH} .lbkit-wrong").inner_text() == "3"
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert not area.evaluate("a => a === document.activeElement")


def test_mended_code_is_put_on_the_board(page: Any, lab: Lab) -> None:
    area = page.locator(f"{BENCH} .lbkit-code textarea")
    area.fill(area.input_value().replace("[99]", "[int(now) % len(backends)]"))
    page.locator(f"{BENCH} button:has-text('Run')").click()
    until(lambda: page.locator(f"{BENCH} :text('points for own')").count(), "a score", 40)
    keep = page.locator(f"{BENCH} button:has-text('board')")
    until(keep.is_enabled, "all runs", 40)
    keep.click()
    row = page.locator(f"{BENCH} .lbkit-board .lbkit-own")
    until(lambda: 'score(kept("own")).points' in row.inner_text(), "the line that repeats it")
    noted = json.loads((lab.folder.parent / "progress.json").read_text())["board"]
    assert "now" in noted["own"]["source"]

"""Notebook 00 as a learner has it: JupyterLab in a real Chromium."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import nbformat
import pytest
from browser.jupyter import RUNNING, Lab, ended, open_notebook, run_all, start_all

pytestmark = pytest.mark.browser

FIGURE = ".lbkit-playground .lbkit-figure"


@pytest.fixture(scope="module")
def page(lab: Lab, new_page: Callable[[], Any]) -> Any:
    """Notebook 00, run from top to bottom."""
    page = new_page()
    page.complaints = []
    page.on("console", lambda m: page.complaints.append(m.text) if m.type == "error" else None)
    open_notebook(page, lab, "00-playground.ipynb")
    run_all(page)
    return page


def drawn(figure: Any) -> int:
    return int(figure.get_attribute("data-drawn"))


def curve(figure: Any) -> str:
    return str(figure.locator(".scatterlayer .js-line").first.get_attribute("d"))


def until(
    true: Callable[[], bool], what: str, seconds: float = 20, instead: Callable[[], str] = lambda: ""
) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s: {what} {instead()}"
        time.sleep(0.05)


def move(page: Any, slider: str, key: str, within: str = ".lbkit-playground") -> None:
    handle = page.locator(f"{within} .widget-hslider:has-text('{slider}') .noUi-handle").first
    handle.focus()
    page.keyboard.press(key)


def test_all_cells_run(page: Any) -> None:
    assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert not [c for c in page.complaints if "lbkit" in c or "widget" in c.lower()]


def test_a_slider_redraws_the_figure(page: Any) -> None:
    figure = page.locator(FIGURE).first
    figure.scroll_into_view_if_needed()
    assert figure.locator(".scatterlayer .trace").count() >= 3
    before, line = drawn(figure), curve(figure)
    move(page, "load", "ArrowLeft")
    until(lambda: drawn(figure) > before, "a first look")
    until(lambda: drawn(figure) > before + 1, "a second look, when the slider rests")
    assert curve(figure) != line
    assert "79%" in page.locator(".lbkit-playground .widget-hslider:has-text('load')").first.inner_text()


def test_figures_fit_their_places(page: Any) -> None:
    for figure in page.locator(FIGURE).all()[:3]:
        place = figure.bounding_box()
        svg = figure.locator("svg.main-svg").first.bounding_box()
        assert svg["width"] <= place["width"] + 1
        assert svg["width"] > 350


def test_another_algorithm_is_one_click_away(page: Any) -> None:
    figure = page.locator(FIGURE).first
    before = drawn(figure)
    page.locator(".lbkit-playground button:has-text('random')").first.click()
    until(lambda: drawn(figure) > before, "a redraw")
    assert "random" in figure.locator(".legend").text_content()


def test_sliders_live_while_a_cell_awaits(lab: Lab, new_page: Callable[[], Any]) -> None:
    """ipykernel 7.4.0 lost a widget that was used meanwhile."""
    book = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(text)
            for text in (
                "import asyncio\nfrom lbkit import run\nfrom lbkit.viz import Playground",
                "p = Playground(run); p",
                "before = p.settings.load",
                "while p.settings.load == before: await asyncio.sleep(0.05)",
                "n = p.latency.number\nwhile p.latency.number == n: await asyncio.sleep(0.05)",
            )
        ]
    )
    book.metadata = nbformat.read(lab.folder / "00-playground.ipynb", 4).metadata  # says which kernel
    nbformat.write(book, lab.folder / "awaiting.ipynb")
    page = new_page()
    open_notebook(page, lab, "awaiting.ipynb")
    start_all(page)
    page.wait_for_selector(f"{FIGURE}[data-drawn]")
    assert page.locator(RUNNING).count()
    move(page, "load", "ArrowLeft")  # the first loop ends
    time.sleep(1)
    figure = page.locator(FIGURE).first
    before = drawn(figure)
    move(page, "load", "ArrowLeft")  # and the second
    ended(page)
    until(lambda: drawn(figure) > before, "a redraw")
    page.close()


def test_live_panel(page: Any) -> None:
    panel = page.locator(".lbkit-live").first
    panel.scroll_into_view_if_needed()
    said = panel.locator(".lbkit-message")
    panel.locator("button:has-text('start')").click()
    until(lambda: "good answers" in said.inner_text(), "traffic", 40, said.inner_text)
    rates = panel.locator(".lbkit-figure").nth(2)
    before = drawn(rates)
    until(lambda: drawn(rates) > before + 2, "moving curves")
    panel.locator("select").select_option("round robin")
    panel.locator("button:has-text('s1')").click()  # killed
    until(lambda: "s1, down" in panel.locator(".lbkit-figure").first.inner_text(), "a server that is down")
    panel.locator("button:has-text('s1')").click()  # revived
    until(lambda: "down" not in panel.locator(".lbkit-figure").first.inner_text(), "a server that is back")
    panel.locator("button:has-text('stop')").click()
    until(lambda: said.inner_text() == "Stopped. Nothing is running.", "the end")
    assert panel.locator("button:has-text('start')").is_enabled()

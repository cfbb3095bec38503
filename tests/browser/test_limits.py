"""Notebook 07 as a learner has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser.jupyter import Lab, open_notebook, run_all
from browser.test_playground import drawn, move, until

pytestmark = pytest.mark.browser

PANEL = ".lbkit-limiter-panel"


@pytest.fixture(scope="module")
def page(lab: Lab, new_page: Callable[[], Any]) -> Iterator[Any]:
    page = new_page()
    open_notebook(page, lab, "07-rate-limits.ipynb")
    run_all(page)
    yield page
    page.close()  # a page that lives on takes its share of the processor


def test_all_cells_run(page: Any) -> None:
    assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']").count() == 0


def test_a_slider_and_another_pattern_redraw_the_marks(page: Any) -> None:
    figure = page.locator(f"{PANEL} .lbkit-figure").first
    figure.scroll_into_view_if_needed()
    assert figure.locator(".scatterlayer .point").count() == 8 * 40  # a mark each, of eight limiters
    words = page.locator(PANEL).inner_text()
    before = drawn(figure)
    move(page, "burst", "ArrowRight", within=PANEL)
    until(lambda: drawn(figure) > before, "a redraw")
    page.locator(f"{PANEL} select").select_option("around a boundary")
    until(lambda: page.locator(PANEL).inner_text() != words, "other words")
    until(lambda: "fixed window admits 10" in page.locator(PANEL).inner_text(), "what a window lets through")

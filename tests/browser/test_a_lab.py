"""A lab as a learner sees it: a button that checks the cell as it was last run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser.jupyter import Lab, open_notebook, run_all
from browser.test_playground import until

from lbkit.course import find_lab

pytestmark = pytest.mark.browser

FOLDER = "labs/01-turns"


@pytest.fixture
def page(lab: Lab, new_page: Callable[[], Any]) -> Iterator[Any]:
    """The lab's notebook up to its button, with a mistake in the learner's cell."""
    path = lab.folder / FOLDER / "turns.ipynb"
    book = json.loads(path.read_text())
    last = next(i for i, c in enumerate(book["cells"]) if "lab.button" in "".join(c["source"]))
    book["cells"] = book["cells"][: last + 1]
    mistake = find_lab("1").mistakes["Consecutive"].code
    next(cell for cell in book["cells"] if cell["id"] == "solution")["source"] = mistake
    path.write_text(json.dumps(book))
    page = new_page()
    open_notebook(page, lab, f"{FOLDER}/turns.ipynb")
    run_all(page)
    yield page
    page.close()


def test_the_button_tells_what_is_missing_and_progress_is_noted(page: Any, lab: Lab) -> None:
    page.get_by_role("button", name="Check my code").click()
    until(lambda: page.locator(".lbkit-words .lbkit-report").count() == 1, "a report")
    report = page.locator(".lbkit-words .lbkit-report")
    said = report.inner_text()
    assert "Turns: 8 of 10 points" in said
    assert "five requests in a row are a burst" in said
    assert report.locator(".lbkit-steps td.lbkit-here").count() == 2  # the step that differs, in both rows
    place = report.bounding_box()
    picture = report.locator(".lbkit-steps").bounding_box()
    assert picture["x"] + picture["width"] <= place["x"] + place["width"]

"""What lbkit shows can be used without a mouse and without eyes, and read from the last row of a room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import nbformat
import pytest
from browser.audit import OURS, findings
from browser.jupyter import Lab, open_notebook, run_all
from browser.test_playground import until
from films import result_of
from needs import need_module

from lbkit import Experiment, Traffic, compare, servers
from lbkit.report import report
from lbkit.viz.theatre import film
from lbkit.viz.theatre.page import page as saved

need_module("anywidget")

pytestmark = pytest.mark.browser

# All kinds of panels, with a static figure, tables, the board and a switch for projector mode.
CELLS = """\
from lbkit import *
from lbkit import viz
from lbkit.core.routing import Fixed, Routing, Rule, ToPool, When
from lbkit.course import house
from lbkit.course.workbench import Workbench
experiment = Experiment(servers(3), Traffic(duration=10), policy="round_robin").at_load(0.7)
results = compare(experiment, ["round_robin", "least_connections"])
results
---
viz.figures.latency_cdf(results)
---
viz.Theatre(experiment)
---
viz.Playground(run)
---
viz.LayerPanel()
---
viz.LimiterPanel()
---
viz.HealthPanel()
---
viz.Dashboard(results[0], pace=0)
---
rules = Rule("no admin", Fixed(403), When(prefix=("/admin",))), Rule("all", ToPool("shop"))
viz.RuleExplorer(Routing(rules))
---
def story(speed=1.0):
    return experiment.but(servers=servers(2, speed=[1, speed]))
viz.Scene(story, viz.Step("Two equal servers."), viz.Step("And now?", speed=(0.1, 1.0, 0.5)))
---
house.SCENARIOS = {name: house.SCENARIOS[name] for name in ("equal", "unequal")}
house.SEEDS = (1, 2)
Workbench()
---
viz.projector(False)
"""
SWITCH = ".lbkit-projector button"
# The handles of sliders get their names when the figure beside them rests.
NAMED = "() => [...document.querySelectorAll('.noUi-handle')].every(handle => handle.ariaLabel)"


@pytest.fixture(scope="module")
def page(lab: Lab, new_page: Callable[[], Any]) -> Iterator[Any]:
    """A notebook with all that lbkit shows, run from top to bottom, on a page high enough for all of it."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS.split("---\n")])
    book.metadata = nbformat.read(lab.folder / "00-playground.ipynb", 4).metadata
    nbformat.write(book, lab.folder / "accessible.ipynb")
    page = new_page()
    page.set_viewport_size({"width": 1280, "height": 9000})
    open_notebook(page, lab, "accessible.ipynb")
    run_all(page)
    assert not page.locator("[data-mime-type='application/vnd.jupyter.error']").all_inner_texts()
    page.locator(SWITCH).last.wait_for()
    page.wait_for_function(NAMED)
    yield page
    page.close()


def test_axe_has_no_serious_findings_in_panels_figures_and_tables(page: Any) -> None:
    assert page.locator(OURS).count() > CELLS.count("---")
    assert findings(page, OURS) == []


# -- without a mouse --------------------------------------------------------------------------------------


def test_a_saved_stage_by_the_keyboard_alone(new_page: Callable[[], Any]) -> None:
    page = new_page()
    page.set_content(saved([film(result_of("small")).to_dict()]))
    page.keyboard.press("Tab")
    stage = page.locator(".lbkit-theatre")
    time = page.locator(".lbt-time")
    assert stage.evaluate("stage => stage === document.activeElement")
    before = time.inner_text()
    page.keyboard.press("ArrowRight")
    until(lambda: time.inner_text() != before, "a step forward")
    page.keyboard.press("Home")
    until(lambda: time.inner_text() == before, "the beginning")
    seen = []
    for _ in range(30):
        page.keyboard.press("Tab")
        label = page.evaluate("() => document.activeElement.ariaLabel")
        seen.append(label)
        if label == "time":  # the strip: it can be scrubbed
            page.keyboard.press("PageUp")
            until(lambda: time.inner_text() != before, "another time")
        if page.evaluate("() => document.activeElement === document.body"):
            break
    assert {"time", "playback speed", "play or pause (space)"} <= {*seen}
    assert None in seen, "the focus never left the stage"
    assert findings(page) == []
    page.close()


# -- pages without Jupyter --------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_has_no_serious_findings_in_a_saved_stage(new_page: Callable[[], Any], theme: str) -> None:
    page = new_page()
    page.emulate_media(color_scheme=theme)
    for name in ("small", "ring", "breakers"):
        page.set_content(saved([film(result_of(name)).to_dict()]))
        assert findings(page) == [], name
    page.close()


def test_axe_has_no_serious_findings_in_a_report(new_page: Callable[[], Any]) -> None:
    experiment = Experiment(servers(2), Traffic(duration=5)).at_load(0.5)
    page = new_page()
    page.set_content(report(compare(experiment, ["random", "round_robin"]), "Two policies"))
    assert findings(page) == []
    labels = [e.get_attribute("aria-label") for e in page.locator("[role=img]").all()]
    assert len(labels) == page.locator(".js-plotly-plot").count() > 1
    page.close()

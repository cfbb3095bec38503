"""What lbkit shows can be used without a mouse and without eyes, and read from the last row of a room."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from browser.audit import OURS, findings
from browser.jupyter import Lab, end_kernels, ended, open_notebook, run_all
from browser.test_playground import until
from films import result_of
from needs import need_module

from lbkit import Experiment, Traffic, compare, servers
from lbkit.report import report
from lbkit.viz.theatre import film
from lbkit.viz.theatre.page import page as saved

need_module("anywidget")

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]

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
LARGER = 1.6  # of projecting.js
DARK = '{"theme": "JupyterLab Dark"}'
SETTINGS = Path("jupyterlab_settings_dir/@jupyterlab/apputils-extension/themes.jupyterlab-settings")
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
    page.set_viewport_size({"width": 1280, "height": 5000})
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


def test_every_figure_has_a_text_with_its_figures(page: Any) -> None:
    texts = [
        e.get_attribute("aria-label")
        for e in page.locator(f"{OURS} :is(.lbkit-figure, div) [role=img]").all()
    ]
    assert len(texts) > 8
    assert [text for text in texts if not re.search(r"\w+ .*\d", text or "")] == []


def test_projector_mode_enlarges_all_and_is_undone(page: Any) -> None:
    parts = (
        ".lbkit-figure .gtitle",
        ".lbkit-theatre .lbt-head strong",
        ".lbkit-playground .widget-label",
        "td",
    )
    sizes = lambda: [page.locator(f"{OURS} {part}").first.bounding_box()["height"] for part in parts]  # noqa: E731
    before = sizes()
    page.locator(SWITCH).last.click()
    until(
        lambda: page.locator(f"{SWITCH}[aria-pressed=true]").count() == 2, "both switches say that it is on"
    )
    assert [after / small for small, after in zip(before, sizes(), strict=True)] == pytest.approx(
        [LARGER] * len(parts), rel=0.25
    )
    assert findings(page, OURS) == []
    for figure in page.locator(f"{OURS} .js-plotly-plot:visible").all():  # none is cut off
        place, svg = figure.bounding_box(), figure.locator("svg.main-svg").first
        until(lambda s=svg, p=place: s.bounding_box()["width"] <= p["width"] + 2, "a figure of the new width")
    page.locator(".lbkit-theatre").first.press("p")
    until(lambda: not page.locator(f"{SWITCH}[aria-pressed=true]").count(), "the stage's key turns it off")
    assert sizes() == pytest.approx(before, rel=0.02)


def test_in_projector_mode_a_figure_tells_what_is_under_the_pointer(page: Any) -> None:
    page.locator(SWITCH).last.click()
    figure = page.locator(".jp-RenderedPlotly").first
    figure.scroll_into_view_if_needed()
    point = figure.locator(".scatterlayer .point").first  # at 50 %
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    said = figure.locator(".hoverlayer .hovertext").first
    said.wait_for()
    assert "50" in said.text_content()
    page.locator(SWITCH).last.click()


def test_axe_has_no_serious_findings_on_dark_pages(lab: Lab, page: Any) -> None:
    settings = lab.log.parent / SETTINGS
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(DARK)
    try:
        open_notebook(page, lab, "accessible.ipynb")
        page.locator("body[data-jp-theme-light=false]").wait_for()
        run_all(page)
        page.wait_for_function(NAMED)
        assert findings(page, OURS) == []
    finally:
        settings.unlink()


# -- without a mouse --------------------------------------------------------------------------------------

FOCUSED = """() => {
  let at = document.activeElement;
  const style = getComputedStyle(at);
  const ring = parseFloat(style.outlineWidth) > 0 && style.outlineStyle !== "none";
  const shown = ring || style.boxShadow !== "none" || at.matches(".noUi-handle, [type=checkbox]");
  const text = at.ariaLabel || at.title || at.textContent.trim().slice(0, 60) || at.tagName;
  return { text, shown, at: at.className.toString(), ours: Boolean(at.closest(".jp-OutputArea-output")) };
}"""


def test_a_whole_notebook_by_the_keyboard_alone(lab: Lab, new_page: Callable[[], Any]) -> None:
    """Notebook 00: run each cell, reach each control of a panel, use them, and come out again."""
    page = new_page()
    page.set_viewport_size({"width": 1366, "height": 768})
    open_notebook(page, lab, "00-playground.ipynb")
    keys = page.keyboard
    page.locator(".jp-Notebook").focus()
    book = nbformat.read(lab.folder / "00-playground.ipynb", 4)
    for _ in book.cells:  # Shift+Enter runs a cell and goes on
        keys.press("Shift+Enter")
    ended(page)
    assert not page.locator("[data-mime-type='application/vnd.jupyter.error']").count()
    playground = page.locator(".lbkit-playground").first
    playground.scroll_into_view_if_needed()
    playground.locator("button").first.focus()
    seen: list[dict[str, Any]] = []
    while len(seen) < 80:
        seen.append(page.evaluate(FOCUSED))
        if not seen[-1]["ours"]:
            break  # out of the panel: no trap
        keys.press("Tab")
    else:
        pytest.fail("the focus never left the panel")
    assert [one for one in seen if one["ours"] and not one["shown"]] == []  # the focus can be seen everywhere
    handles = [one for one in seen if "noUi-handle" in one["at"]]
    assert len(handles) == playground.locator(".noUi-handle").count()
    page.close()
    end_kernels(lab)


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


def test_axe_has_no_serious_findings_on_the_documentation_site(
    tmp_path: Path, new_page: Callable[[], Any]
) -> None:
    """Of the site's own pages, without notebooks and reference, which take long to build."""
    need_module("sphinx")
    pages, built = tmp_path / "pages", tmp_path / "built"
    shutil.copytree(ROOT / "docs/pages/howto", pages / "howto")
    shutil.copy(ROOT / "docs/pages/conf.py", pages)
    (pages / "index.md").write_text((ROOT / "docs/pages/howto.md").read_text())
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "html", str(pages), str(built)], check=True)
    page = new_page()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        for name in ("index", "howto/projector", "howto/own-algorithm"):
            page.goto(f"file://{built}/{name}.html")
            assert findings(page) == [], (theme, name)
    page.close()

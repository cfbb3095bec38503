"""What lbkit shows can be used without a mouse and without eyes, and read from the last row of a room."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from browser.audit import OURS, findings
from browser.jupyter import Lab, command, end_kernels, open_notebook, run_all
from browser.test_playground import until
from films import result_of
from needs import need_module
from plotly.offline import get_plotlyjs

from lbkit import Experiment, Traffic, compare, servers
from lbkit.report import report
from lbkit.viz import figures
from lbkit.viz.theatre import film
from lbkit.viz.theatre.page import page as saved
from lbkit.viz.theatre.script import STAGE

need_module("anywidget")

pytestmark = pytest.mark.browser
DOCS = Path(__file__).parents[2] / "docs" / "pages"

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
# Each figure has a text with figures; until it is drawn, and that of the workbench is late, only words.
TOLD = """where => [...document.querySelectorAll(`${where} [role=img]`)]
  .every((one) => /\\d/.test(one.ariaLabel))"""


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
    page.wait_for_function(TOLD, arg=OURS)
    page.wait_for_function(NAMED)
    yield page
    page.close()
    end_kernels(lab)


@pytest.fixture
def projecting(page: Any) -> Iterator[Any]:
    """The same page in projector mode, turned on by its switch; the stage's key turns it off."""
    page.locator(SWITCH).last.click()
    until(
        lambda: page.locator(f"{SWITCH}[aria-pressed=true]").count() == 2, "both switches say that it is on"
    )
    yield page
    page.locator(".lbkit-theatre").first.press("p")
    until(lambda: not page.locator(f"{SWITCH}[aria-pressed=true]").count(), "both say that it is off")


def test_axe_has_no_serious_findings_in_panels_figures_and_tables(page: Any) -> None:
    assert page.locator(OURS).count() > CELLS.count("---")
    assert findings(page, OURS) == []


def test_every_figure_has_a_text_with_its_figures(page: Any) -> None:
    figures = page.locator(f"{OURS} .js-plotly-plot").count()
    assert figures > 9
    assert page.locator(f"{OURS} [role=img]").count() >= figures


def test_axe_has_no_serious_findings_in_the_dark_theme(page: Any) -> None:
    try:
        command(page, "apputils:change-theme", theme="JupyterLab Dark")
        page.wait_for_selector("body[data-jp-theme-light=false]", state="attached")
        # JupyterLab's own place for plotly has a scrollbar until it is laid out anew.
        assert [one for one in findings(page, OURS) if ": .jp-RenderedPlotly:" not in one] == []
    finally:
        command(page, "apputils:change-theme", theme="JupyterLab Light")
        page.wait_for_selector("body[data-jp-theme-light=true]", state="attached")


# Pixels of all texts that can be seen, and what they say.
SIZES = """where => {
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = texts.nextNode());) {
    const around = text.parentElement;
    if (!text.data.trim() || !around.closest(where) || around.closest("style, script")) continue;
    const box = around.getBoundingClientRect();
    if (Math.min(box.width, box.height) < 2) continue; // for screen readers only
    found.push([parseFloat(getComputedStyle(around).fontSize) * around.currentCSSZoom, text.data.trim()]);
  }
  return found;
}"""


def test_texts_in_projector_mode_can_be_read_from_the_last_row(projecting: Any) -> None:
    """A screen eight metres away is as high as a page at 60 cm whose letters are an eighth as large: with 720
    lines, 16 pixels are what 9 points are on paper."""
    sizes = projecting.evaluate(SIZES, OURS)
    assert len(sizes) > 100
    assert [one for one in sizes if one[0] < 16] == []
    assert sum(size >= 19 for size, _ in sizes) > 0.8 * len(sizes)
    code = projecting.locator(".jp-Cell .cm-line").first.evaluate(
        "e => parseFloat(getComputedStyle(e).fontSize)"
    )
    assert code >= 19


def test_in_projector_mode_nothing_is_cut_off_and_axe_has_no_serious_findings(projecting: Any) -> None:
    for figure in projecting.locator(f"{OURS} .js-plotly-plot").all():
        svg = figure.locator("svg.main-svg").first
        until(
            lambda figure=figure, svg=svg: svg.bounding_box()["width"] <= figure.bounding_box()["width"] + 2,
            "a figure of the new width",
        )
    assert findings(projecting, OURS) == []


# The contrast of the letters of a title with the ground: its first pixel.
CONTRAST = """async image => {
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, 20];
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
  const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const lightness = (i) =>
    [0.2126, 0.7152, 0.0722].reduce((sum, weight, k) => sum + weight * linear(data[i + k] / 255), 0);
  const [ground, rest] = [lightness(0), []];
  for (let i = 0; i < data.length; i += 4) rest.push(lightness(i));
  const apart = rest.map((one) => (Math.max(one, ground) + 0.05) / (Math.min(one, ground) + 0.05));
  return data[3] === 255 ? Math.max(...apart) : "a ground that can be seen through";
}"""


def test_letters_in_pictures_of_saved_notebooks_have_the_contrast_of_the_page(page: Any) -> None:
    pictures = page.locator(".lbkit-still img[alt*='1 in 100 waits longer than']")
    until(lambda: pictures.count() >= 2, "pictures of the playground and of the workbench")
    for picture in pictures.all():
        assert picture.evaluate(CONTRAST) >= 4.5


def test_in_projector_mode_the_pointer_hits_what_it_is_at(new_page: Callable[[], Any]) -> None:
    figure = figures.latency_cdf(
        compare(Experiment(servers(2), Traffic(duration=5)).at_load(0.5), ["random"])
    )
    page = new_page()
    page.set_content(
        f"<script>{get_plotlyjs()}</script>"
        f"<script>{(STAGE / 'projecting.js').read_text(encoding='utf-8')}</script>"
        '<div class="jp-OutputArea-output" style="width: 700px"><div id="figure"></div></div>'
        f"<script>const {{data, layout}} = {figure.to_json()}; project(true); "
        "Plotly.newPlot('figure', data, layout, {displayModeBar: false});</script>"
    )
    place = page.locator(".nsewdrag")
    place.wait_for()
    point = page.locator(".scatterlayer .point").first.bounding_box()
    page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    label = page.locator(".hoverlayer .hovertext")
    label.wait_for()
    around, text = label.locator("path").bounding_box(), label.locator("text.nums").bounding_box()
    assert around["width"] < text["width"] * 1.3  # no larger than what it says
    ranges = "() => ['xaxis', 'yaxis'].map(name => document.getElementById('figure')._fullLayout[name].range)"
    before = page.evaluate(ranges)
    box = place.bounding_box()
    corners = [
        (box["x"] + box["width"] * part, box["y"] + box["height"] * part) for part in (0.25, 0.5, 0.75)
    ]
    page.mouse.move(*corners[0])
    page.mouse.down()
    page.mouse.move(*corners[1])
    page.mouse.move(*corners[2])
    page.mouse.up()
    until(lambda: page.evaluate(ranges) != before, "another range")
    for (low, high), shown in zip(before, page.evaluate(ranges), strict=True):
        parts = [(end - low) / (high - low) for end in shown]
        assert parts == pytest.approx([0.25, 0.75], abs=0.02)
    page.close()


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


SITE = """\
# Start

```{toctree}
:caption: Explanations

projector
laws
00-playground
```
"""
LAWS = """\
# Laws

```{eval-rst}
.. automodule:: lbkit.laws
   :members:
```
"""


def test_axe_has_no_serious_findings_on_the_documentation_site(
    tmp_path: Path, new_page: Callable[[], Any]
) -> None:
    """One page of each kind, as the whole takes long to make."""
    need_module("sphinx")
    pages, built = tmp_path / "pages", tmp_path / "built"
    shutil.copytree(DOCS / "static", pages / "static")
    for path in (
        DOCS / "conf.py",
        DOCS / "howto" / "projector.md",
        DOCS.parents[1] / "notebooks/00-playground.ipynb",
    ):
        shutil.copy(path, pages)
    (pages / "index.md").write_text(SITE)
    (pages / "laws.md").write_text(LAWS)
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "html", str(pages), str(built)], check=True)
    page = new_page()
    for name in ("index", "projector", "laws", "00-playground"):
        page.goto(f"file://{built}/{name}.html")
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            assert findings(page) == [], (name, theme)
    page.close()

"""The browser-only edition, as a plain web server hands it out, with every request to elsewhere forbidden.

`make test` and `make test-lite` build it first. All is tried in one page, as its start costs most.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.offline import forbid_others
from browser.test_playground import curve, drawn, move, until
from needs import need

pytestmark = pytest.mark.browser

SITE = Path(__file__).parents[2] / "dist" / "lite"
PATIENCE = 180_000  # ms, for one step on a busy machine
FIRST = "00-playground.ipynb"
FIGURE = ".lbkit-playground .lbkit-figure"
FIRST_FIGURE = ".lbkit-theatre canvas, .lbkit-figure .scatterlayer .trace"

# The page leads to a notebook by itself, or is asked to open it. Both take a while.
OPEN = "path => jupyterapp.commands.execute('docmanager:open', { path }).then(() => 0)"
OPENED = "path => globalThis.jupyterapp?.shell.currentWidget?.context?.path === path"
# JupyterLab runs no cell of a notebook that has no kernel yet, and does not complain.
READY = """async () => {
  const { context, sessionContext } = jupyterapp.shell.currentWidget;
  await Promise.all([context.ready, sessionContext.ready]);
  await sessionContext.session.kernel.info;
}"""
RUN_ALL = "() => { window.ended = jupyterapp.commands.execute('notebook:run-all-cells') }"
ENDED = "() => window.ended.then(() => 0)"
# Outputs are read from the model, as cells out of sight are not in the page.
CELLS = "jupyterapp.shell.currentWidget.content.model.toJSON().cells.filter(c => c.cell_type === 'code')"
NOT_RUN = f"() => {CELLS}.filter(c => !c.execution_count && [c.source].flat().join('').trim())"
WRONG = f"""() => {CELLS}.flatMap(cell => cell.outputs)
  .filter(o => o.output_type === "error" || o.name === "stderr")
  .map(o => o.evalue ?? [o.text].flat().join(""))"""
SHOWN = f"() => {CELLS}.flatMap(cell => cell.outputs).map(o => [o.text ?? ''].flat().join('')).join('')"
LOOK_AT = """words => {
  const { content } = jupyterapp.shell.currentWidget;
  const has = cell => cell.model.sharedModel.source.includes(words);
  return content.scrollToItem(content.widgets.findIndex(has));
}"""

OWN = """
from lbkit import Balancer, Experiment, Traffic, run, servers
class Last(Balancer):
    def pick(self, backends, key, now):
        return backends[-1]
print(run(Experiment(servers(3), Traffic(duration=2), policy=Last)).counts)
"""


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    need("npm")
    if not (SITE / "index.html").is_file():
        pytest.skip("the site is not built: make lite")
    command = [sys.executable, "-u", "-m", "http.server", "-d", str(SITE), "-b", "127.0.0.1", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split(" port ")[1].split()[0]
        yield f"http://127.0.0.1:{port}/"
        server.terminate()


@pytest.fixture(scope="module")
def page(base: str, chromium: Any) -> Iterator[Any]:
    """The front page, which leads to the first notebook, run from top to bottom."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(PATIENCE)
    outside = forbid_others(context, base)
    page = context.new_page()
    page.outside = outside
    begin = time.monotonic()
    page.goto(base)
    page.wait_for_url("**/lab/index.html?path=*")
    run_all(page, FIRST)
    page.wait_for_selector(FIRST_FIGURE, state="attached")
    print(f"first figure after {time.monotonic() - begin:.1f} s")
    page.evaluate(ENDED)
    yield page
    context.close()


def run_all(page: Any, notebook: str) -> None:
    """Begin to run all cells of the notebook that is open, as soon as there is a kernel for them."""
    page.wait_for_function(OPENED, arg=notebook)
    page.evaluate(READY)
    page.evaluate(RUN_ALL)


def run_another(page: Any, notebook: str) -> None:
    """Run a notebook to its end; the kernels of those before it have ended."""
    page.evaluate("() => jupyterapp.serviceManager.sessions.shutdownAll()")
    page.evaluate(OPEN, notebook)
    run_all(page, notebook)
    page.evaluate(ENDED)


def ran_well(page: Any) -> None:
    assert page.evaluate(NOT_RUN) == []
    assert page.evaluate(WRONG) == []


def test_the_first_notebook_runs_to_its_end(page: Any) -> None:
    ran_well(page)
    assert "not shown here, real sockets: live needs sockets" in page.evaluate(SHOWN)


def test_the_theatre_plays(page: Any) -> None:
    page.evaluate(LOOK_AT, "Theatre(one)")
    theatre = page.locator(".lbkit-theatre").first
    moving = theatre.locator(".lbt-picture canvas").nth(1)
    before = moving.evaluate("canvas => canvas.toDataURL()")
    theatre.press(" ")
    until(lambda: moving.evaluate("canvas => canvas.toDataURL()") != before, "dots that move", seconds=60)
    theatre.press(" ")


def test_a_slider_redraws_the_figure(page: Any) -> None:
    page.evaluate(LOOK_AT, "Playground(run)")
    figure = page.locator(FIGURE).first
    figure.scroll_into_view_if_needed()
    before, line = drawn(figure), curve(figure)
    move(page, "load", "ArrowLeft")
    until(lambda: drawn(figure) > before and curve(figure) != line, "another curve", seconds=60)


def test_an_algorithm_of_ones_own_runs(page: Any) -> None:
    page.locator(".jp-Notebook .jp-CodeCell").last.click()
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    page.keyboard.insert_text(OWN)
    page.keyboard.press("Control+Enter")
    until(lambda: "{'s1': 0, 's2': 0, 's3': " in page.evaluate(SHOWN), "its counts", seconds=60)


def test_the_notebook_of_algorithms_runs_to_its_end_and_its_workbench_gives_a_score(page: Any) -> None:
    run_another(page, "03-algorithms.ipynb")
    ran_well(page)
    page.evaluate(LOOK_AT, "Workbench(TwoLooks)")
    until(lambda: page.locator(".lbkit-workbench :text('A decision takes')").count(), "a score", seconds=180)


def test_the_notebook_of_limits_runs_to_its_end(page: Any) -> None:
    run_another(page, "07-rate-limits.ipynb")
    ran_well(page)


def test_nothing_was_asked_for_elsewhere(page: Any) -> None:
    assert page.outside == []

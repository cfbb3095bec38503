"""The browser-only edition, as a plain web server hands it out, with every request to elsewhere forbidden."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.jupyter import IDLE
from browser.offline import forbid_others
from browser.test_playground import curve, drawn, move, until

pytestmark = pytest.mark.browser
__test__ = bool(os.environ.get("LBKIT_LITE"))

SITE = Path(__file__).parents[2] / "dist" / "lite"
FIRST = ".lbkit-theatre canvas, .lbkit-figure .scatterlayer .trace"  # of the figures
FIGURE = ".lbkit-playground .lbkit-figure"
# `make test-lite` sets it; "all" adds notebooks that take minutes. Without it pytest finds no test here.
WANTED = os.environ.get("LBKIT_LITE", "")
OTHERS = ("03-algorithms.ipynb", "07-rate-limits.ipynb")
# Whether the notebook is there, and its kernel, so that its cells can be run.
READY = """() => {
  const widget = jupyterapp.shell.currentWidget;
  return widget?.content?.model?.cells?.length
    && widget.sessionContext?.session?.kernel?.status === "idle"
    && jupyterapp.commands.isEnabled("notebook:run-all-cells");
}"""

RUN_ALL = 'jupyterapp.commands.execute("notebook:run-all-cells")'  # a promise that all cells have ended
# What went wrong in the notebook that is open: errors, and what was written to stderr.
WRONG = """() => jupyterapp.shell.currentWidget.content.model.toJSON().cells
  .flatMap(cell => cell.outputs ?? []).filter(o => o.output_type === "error" || o.name === "stderr")
  .map(o => o.evalue ?? [o.text].flat().join(""))"""
SHOWN = """() => jupyterapp.shell.currentWidget.content.model.toJSON().cells
  .flatMap(cell => cell.outputs ?? []).map(o => [o.text ?? ""].flat().join("")).join("")"""

OWN = """
from lbkit import Balancer, Experiment, Traffic, run, servers
class Last(Balancer):
    def pick(self, backends, key, now):
        return backends[-1]
print(run(Experiment(servers(3), Traffic(duration=2), policy=Last)).counts)
"""


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    if not (SITE / "index.html").is_file():
        pytest.skip("the site is not built: make lite")
    command = [sys.executable, "-u", "-m", "http.server", "-d", str(SITE), "-b", "127.0.0.1", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split(" port ")[1].split()[0]
        yield f"http://127.0.0.1:{port}/"
        server.terminate()


@pytest.fixture(scope="module")
def inside(base: str, chromium: Any) -> Iterator[Any]:
    """A browser that reaches nothing but the site; `outside` has what it asked for elsewhere."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(120_000)
    context.outside = forbid_others(context, base)
    yield context
    context.close()


def opened(context: Any, address: str) -> Any:
    """Open a notebook of the site; return its page when the kernel is ready to be asked."""
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector(IDLE)
    page.wait_for_function(READY)
    return page


@pytest.fixture(scope="module")
def page(base: str, inside: Any) -> Any:
    """The front page, which leads to notebook 00, run from top to bottom."""
    begin = time.monotonic()
    page = opened(inside, base)
    page.evaluate(f"() => {{ window.ended = {RUN_ALL} }}")
    page.wait_for_selector(FIRST, state="attached")
    print(f"first figure after {time.monotonic() - begin:.1f} s")
    page.evaluate("() => window.ended.then(() => 0)")
    return page


def test_the_first_notebook_runs_to_its_end(page: Any) -> None:
    assert page.evaluate(WRONG) == []
    assert "not shown here, real sockets: live needs sockets" in page.evaluate(SHOWN)


def test_a_slider_redraws_the_figure(page: Any) -> None:
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


if WANTED == "all":

    @pytest.mark.parametrize("notebook", OTHERS)
    def test_another_notebook_runs_to_its_end(notebook: str, base: str, chromium: Any) -> None:
        context = chromium.new_context()  # another one would open the notebooks of the tests before, too
        context.set_default_timeout(120_000)
        outside = forbid_others(context, base)
        page = opened(context, f"{base}lab/index.html?path={notebook}")
        page.evaluate(f"() => {RUN_ALL}.then(() => 0)")
        assert page.evaluate(WRONG) == []
        assert "not shown here" in page.evaluate(SHOWN)
        assert outside == []
        context.close()


def test_nothing_was_asked_for_elsewhere(page: Any, inside: Any) -> None:
    assert inside.outside == []

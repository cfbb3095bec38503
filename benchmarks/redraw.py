"""From a slider of the Playground to its figures, in JupyterLab in Chromium: three policies, arrow keys.

`python -m benchmarks.redraw` prints a table, `--json` one object; `--beside FOLDER` has another checkout take
turns. The time goes from the key to the moment after the browser has painted; the next key follows when all
figures are drawn, as a redraw would otherwise count for a later key. Processor time is that of the
kernel and of the page's main thread, all that follows a key included. Needs Chromium.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import in_turn, options, report

HERE = Path(__file__).parents[1]
sys.path.append(str(HERE / "tests"))  # what drives JupyterLab is there
from browser.jupyter import SWITCHES, Lab, open_notebook, run_all, serving  # noqa: E402

SOURCE = """import os
import lbkit
from lbkit.viz import Playground
print(os.getpid(), os.path.realpath(lbkit.__file__))
Playground(lbkit.run)"""
SIZE = {"width": 1366, "height": 768}
FIGURES = ".lbkit-playground .lbkit-figure"
REST = 8  # seconds until all seeds have run and all pictures are taken

WATCH = """figures => {
  window.moves = [];
  document.addEventListener('keydown', () => window.moves.push({at: performance.now(), drawn: {}}), true);
  [...document.querySelectorAll(figures)].forEach((figure, i) => new MutationObserver(() => {
    const move = window.moves.at(-1);
    if (!move || move.drawn[i] !== undefined) return;
    move.drawn[i] = null;
    requestAnimationFrame(() => setTimeout(() => { move.drawn[i] = performance.now() - move.at; }));
  }).observe(figure, {attributeFilter: ['data-drawn']}));
}"""

DRAWN = """async ([figures, most]) => {
  const end = performance.now() + most;
  const waiting = () => Object.values(window.moves.at(-1).drawn).filter(Boolean).length < figures;
  while (waiting() && performance.now() < end) await new Promise(done => setTimeout(done, 5));
}"""
MOST = 2000  # milliseconds to wait for all figures


def cpu_of(pid: int) -> float:
    """Return the processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def page_cpu(session: Any) -> float:
    """Return the processor seconds of a page's main thread so far."""
    found = session.send("Performance.getMetrics")["metrics"]
    return float(next(m["value"] for m in found if m["name"] == "TaskDuration"))


def notebook(lab: Lab) -> str:
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "id": "p"}
    book = {"cells": [cell | {"source": SOURCE}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (lab.folder / "redraw.ipynb").write_text(json.dumps(book))
    return "redraw.ipynb"


def kernel_of(page: Any, root: Path) -> int:
    """Return the process of a notebook's kernel. Raises RuntimeError if its lbkit is not that of `root`."""
    pid, file = page.locator(".jp-OutputArea-output pre").first.inner_text().split(maxsplit=1)
    if Path(file.strip()).parents[1] != root.resolve():
        raise RuntimeError(f"the kernel has {file.strip()}, which is not in {root}")
    return int(pid)


def moved(page: Any, lab: Lab, root: Path, moves: int, pause: float) -> dict[str, list[float]]:
    """Move the slider of the load; return milliseconds by figure, and those of processor time a move."""
    open_notebook(page, lab, notebook(lab))
    run_all(page)
    page.wait_for_selector(f"{FIGURES}[data-drawn]")
    page.wait_for_timeout(REST * 1000)
    kernel = kernel_of(page, root)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.evaluate(WATCH, FIGURES)
    page.locator(".lbkit-playground .widget-hslider:has-text('load') .noUi-handle").first.focus()
    before = cpu_of(kernel), page_cpu(session)
    for number in range(moves):
        page.keyboard.press("ArrowLeft" if number // 15 % 2 == 0 else "ArrowRight")
        page.evaluate(DRAWN, [3, MOST])
        page.wait_for_timeout(pause * 1000)
    cpu = cpu_of(kernel) - before[0], page_cpu(session) - before[1]
    found = page.evaluate("window.moves")
    times = {
        f"figure {i + 1}": [m["drawn"][str(i)] for m in found if m["drawn"].get(str(i))] for i in range(3)
    }
    return times | {"kernel CPU": [cpu[0] * 1e3 / moves], "page CPU": [cpu[1] * 1e3 / moves]}


def measured(root: Path, moves: int, pause: float) -> dict[str, list[float]]:
    """Return what `moved` finds in a JupyterLab of its own."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        raise SystemExit("not measured: needs Chromium (apt install chromium)")
    with tempfile.TemporaryDirectory() as home, serving(Path(home), root) as lab, sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=program, args=SWITCHES)
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(90_000)
        return moved(page, lab, root, moves, pause)


def measure(moves: int, pause: float, rounds: int, beside: str) -> dict[str, Any]:
    checkouts = {"this": HERE} | ({"beside": Path(beside).resolve()} if beside else {})
    found = in_turn(checkouts, lambda name: measured(checkouts[name], moves, pause), rounds)
    return {
        name: {what: [v for part in parts for v in part[what]] for what in parts[0]}
        for name, parts in found.items()
    }


def show(found: dict[str, Any]) -> None:
    load = os.getloadavg()[0]
    print(f"milliseconds, {os.cpu_count()} processors, on which {load:.1f} processes run or wait")
    print(f"{'':16}{'median':>8}{'slowest 10th':>14}{'times':>7}")
    for name, parts in found.items():
        for what, values in parts.items() if isinstance(parts, dict) else ():
            ordered = sorted(values)
            if ordered:
                slow = ordered[int(0.9 * len(ordered))]
                print(f"{name + ' ' + what:16}{median(ordered):8.0f}{slow:14.0f}{len(ordered):7}")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--moves", type=int, default=60, help="a round")
    parser.add_argument("--pause", type=float, default=0.02, help="seconds from the figures to the next key")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--beside", default="", help="another checkout, which takes turns")
    report(parser, measure, show)


if __name__ == "__main__":
    main()

"""Notebook 00 as a learner has it: JupyterLab in a real Chromium."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import nbformat
import pytest
from browser.jupyter import (
    RUNNING,
    Lab,
    answer_dialogs,
    end_kernels,
    ended,
    open_notebook,
    run_all,
    start_all,
)

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


# What has the focus, once for each element: its name, whether it is ours, and whether that can be seen.
FOCUSED = """where => {
  const at = document.activeElement;
  if (at.dataset.reached) return null;
  at.dataset.reached = "yes";
  const style = getComputedStyle(at);
  const name = at.ariaLabel || at.labels?.[0]?.textContent || at.textContent || at.title;
  const shown = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  return { name: name.trim(), shown, ours: Boolean(at.closest(where)) };
}"""
CONTROLS = "button, select, textarea, input, summary, .noUi-handle, [role=button]"
UNREACHED = """([where, controls]) => [...document.querySelectorAll(`${where} :is(${controls})`)]
  .filter(one => one.checkVisibility() && !one.disabled && one.tabIndex >= 0 && !one.dataset.reached)
  .map(one => one.outerHTML.slice(0, 200))"""
OUTPUTS = ".jp-OutputArea-output"


def test_all_controls_are_reached_by_tab_alone_and_left_again(page: Any) -> None:
    page.evaluate("document.querySelectorAll('[data-reached]').forEach(one => delete one.dataset.reached)")
    seen: list[Any] = []
    for _ in range(500):  # from wherever it is, around the page, until the first comes again
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUSED, OUTPUTS)
        if found is None:
            break
        seen.append(found)
    assert found is None, "the focus is in a trap"
    assert page.evaluate(UNREACHED, [OUTPUTS, CONTROLS]) == []
    ours = [one for one in seen if one["ours"]]
    assert not [one for one in ours if not one["name"] or not one["shown"]]
    wanted = {"load", "seed", "reset", "Was it luck?", "time", "playback speed", "next", "policy", "start"}
    assert wanted <= {one["name"] for one in ours}
    assert not all(one["ours"] for one in seen)


def test_the_parts_of_an_accordion_are_opened_by_keys(page: Any) -> None:
    part = page.get_by_role("button", name="Keep this setting, or restore one").first
    text = page.locator(".lbkit-playground textarea").first
    part.press("Enter")
    until(text.is_visible, "the text")
    assert part.get_attribute("aria-expanded") == "true"
    part.press("Space")
    until(lambda: not text.is_visible(), "no text")


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


TOGETHER = """figures => {
  window.together = [];  // when figures were drawn, in milliseconds: a list for those without a break
  let open = false;
  const count = () => {
    if (!open) { open = true; window.together.push([]); setTimeout(() => { open = false; }); }
    window.together.at(-1).push(performance.now());
  };
  document.querySelectorAll(figures).forEach(
    figure => new MutationObserver(count).observe(figure, {attributeFilter: ['data-drawn']}));
}"""
BUSY = 24  # of plotly.js: milliseconds after which no other figure is begun


def test_the_browser_paints_before_it_has_drawn_for_long(page: Any) -> None:
    figures = page.locator(FIGURE).all()[:3]
    before = [drawn(figure) for figure in figures]
    page.evaluate(TOGETHER, FIGURE)
    move(page, "load", "ArrowLeft")
    until(lambda: all(drawn(f) > old for f, old in zip(figures, before, strict=True)), "each figure anew")
    for times in page.evaluate("window.together"):
        assert all(time - times[0] < BUSY for time in times[1:-1])  # each but the last was followed by one


def test_figures_fit_their_places(page: Any) -> None:
    for figure in page.locator(FIGURE).all()[:3]:
        place = figure.bounding_box()
        svg = figure.locator("svg.main-svg").first.bounding_box()
        assert svg["width"] <= place["width"] + 1
        assert svg["width"] > 350


def test_nothing_covers_or_clips_a_title_or_a_label(page: Any) -> None:
    for figure in page.locator(FIGURE).all()[:3]:
        assert figure.locator(".modebar-btn").count() == 0
        place, title = figure.bounding_box(), figure.locator(".gtitle").bounding_box()
        assert inside(title, place)
        plot = figure.locator(".bglayer").first.bounding_box() or place
        assert title["y"] + title["height"] <= plot["y"] + 2 or plot is place


def test_on_a_small_screen_the_first_figure_is_in_sight_and_the_table_fits(
    page: Any,
) -> None:
    page.set_viewport_size({"width": 1366, "height": 768})
    page.wait_for_timeout(500)  # until figures have their new width
    page.evaluate("document.querySelector('.lbkit-playground').scrollIntoView()")
    until(lambda: page.locator(".lbkit-playground").first.bounding_box()["y"] < 120, "the panel on top")
    bottom = 768 - 25  # above the status bar
    figure = page.locator(FIGURE).first.bounding_box()
    assert figure["y"] > 60
    assert figure["y"] + figure["height"] <= bottom
    panel = page.locator(".lbkit-playground").first.bounding_box()
    assert figure["y"] + figure["height"] - panel["y"] <= 500  # a cell of code above it fits, too
    for slider in page.locator(".lbkit-playground").first.locator(".widget-hslider").all():
        assert slider.bounding_box()["y"] <= bottom - 20
    table = page.locator(".lbkit-playground table").first
    around = page.locator(".lbkit-playground").first.bounding_box()
    assert table.bounding_box()["width"] <= around["width"]


def inside(inner: dict[str, float], outer: dict[str, float]) -> bool:
    return (
        inner["x"] >= outer["x"] - 1
        and inner["y"] >= outer["y"] - 1
        and inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 1
        and inner["y"] + inner["height"] <= outer["y"] + outer["height"] + 1
    )


def test_another_algorithm_is_one_click_away(page: Any) -> None:
    figure = page.locator(FIGURE).first
    before = drawn(figure)
    page.locator(".lbkit-playground button:has-text('random')").first.click()
    until(lambda: drawn(figure) > before, "a redraw")
    assert "random" in figure.locator(".legend").text_content()


def test_the_menu_of_algorithms_finds_words_and_keys_choose(page: Any) -> None:
    figure = page.locator(FIGURE).first
    before = drawn(figure)
    page.locator(".lbkit-playground .lbkit-other").first.click()
    menu = page.locator(".lbkit-playground .lbkit-menu").first
    until(menu.is_visible, "the menu")
    assert menu.locator(".lbkit-row").count() > 40
    assert "as nginx does" in menu.inner_text()
    page.keyboard.type("two random recent")
    until(lambda: menu.locator(".lbkit-row").count() == 1, "one row")
    assert menu.locator(".lbkit-row .lbkit-name").inner_text() == "peak ewma"
    page.keyboard.press("Enter")
    until(lambda: "peak ewma" in figure.locator(".legend").text_content(), "its line")
    assert drawn(figure) > before
    page.keyboard.press("Escape")
    until(lambda: not menu.is_visible(), "no menu")
    pressed = page.locator(".lbkit-starters").first.locator("[aria-pressed=true]")
    assert "peak ewma" in pressed.all_inner_texts()


def test_was_it_luck_is_one_click(page: Any) -> None:
    figure = page.locator(FIGURE).first
    button = page.locator(".lbkit-playground button:has-text('Was it luck?')").first
    button.click()
    twenty = "(20 seeds, 95 % confidence)"
    panel = page.locator(".lbkit-playground").first
    until(lambda: twenty in panel.inner_text(), "all seeds", 60, lambda: title_of(figure))
    assert "luck" in title_of(figure)
    button.click()
    until(lambda: "waits longer than" in title_of(figure), "the latencies")


def test_a_setting_is_restored(page: Any) -> None:
    panel = page.locator(".lbkit-playground").first
    panel.get_by_text("Keep this setting, or restore one").click()
    text = panel.locator("textarea").first
    until(text.is_visible, "the text")
    text.fill("?policies=random,maglev&load=0.55")
    panel.locator("button:has-text('restore')").first.click()
    until(lambda: "55%" in panel.locator(".widget-hslider:has-text('load')").inner_text(), "the load")
    legend = panel.locator(".lbkit-figure").first.locator(".legend")
    until(lambda: "maglev" in legend.text_content(), "its line", 20, legend.text_content)
    until(lambda: "load = 0.55" in text.input_value(), "the text of this setting")
    text.fill("load = 5")
    panel.locator("button:has-text('restore')").first.click()
    until(lambda: "load is 5: use a number from 0.1 to 0.98" in panel.inner_text(), "the reason")
    panel.get_by_text("Keep this setting, or restore one").click()


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
    topology = panel.locator(".lbkit-figure").first
    until(lambda: topology.locator("text").count() >= 5, "a picture")
    for label in topology.locator("text").all():
        assert inside(label.bounding_box(), topology.bounding_box()), label.text_content()
    panel.locator("button:has-text('start')").click()
    until(lambda: "good answers" in said.inner_text(), "traffic", 40, said.inner_text)
    assert "nan" not in said.inner_text()
    rates = panel.locator(".lbkit-figure").nth(2)
    before = drawn(rates)
    until(lambda: drawn(rates) > before + 2, "moving curves")
    panel.locator("select").select_option("round robin")
    panel.locator("button:has-text('s1')").click()  # killed
    until(lambda: "s1 down" in title_of(topology), "a server that is down", 20, lambda: title_of(topology))
    assert "round robin" in title_of(topology)
    history = panel.locator(".lbkit-figure").nth(1)
    until(lambda: "crash s1" in history.text_content(), "a mark at the kill")
    assert "switch to round robin" in history.text_content()
    panel.locator("button:has-text('s1')").click()  # revived
    until(lambda: "down" not in title_of(topology), "a server that is back")
    panel.locator("button:has-text('stop')").click()
    until(lambda: said.inner_text() == "Stopped. Nothing is running.", "the end")
    assert panel.locator("button:has-text('start')").is_enabled()


def title_of(figure: Any) -> str:
    return str(figure.locator(".gtitle").text_content()).replace("\u00a0", " ")


def test_a_saved_notebook_that_is_opened_again_shows_pictures(page: Any, lab: Lab) -> None:
    """After the other tests: it ends the kernel."""
    until(lambda: page.locator(".lbkit-still").count() >= 3, "pictures of three panels", 60)
    assert not any(still.is_visible() for still in page.locator(".lbkit-still").all())  # the widgets live
    page.wait_for_timeout(2000)  # the last figure rests
    page.keyboard.press("Control+s")
    saved = lab.folder / "00-playground.ipynb"
    until(lambda: "lbkit-still" in saved.read_text(), "the saved notebook")
    assert saved.stat().st_size < 400_000
    end_kernels(lab)
    page.goto(lab.url("00-playground.ipynb"))
    page.wait_for_selector(".lbkit-still img", timeout=60_000)
    page.wait_for_timeout(3000)  # while JupyterLab looks for the widgets
    answer_dialogs(page)
    stills = page.locator(".lbkit-still").all()
    assert stills
    assert all(still.is_visible() for still in stills)
    shown = page.evaluate("[...document.querySelectorAll('.lbkit-still img')].map(i => i.naturalWidth)")
    assert len(shown) >= 3
    assert min(shown) > 300
    assert not any(text.is_visible() for text in page.get_by_text("model not found").all())


def test_a_live_run_shows_its_progress_and_an_interrupt_gives_what_it_has(
    lab: Lab, new_page: Callable[[], Any]
) -> None:
    book = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(text)
            for text in (
                "from lbkit import *\nlong = Experiment(servers(2), Traffic(duration=60)).at_load(0.3)",
                "r = run(long, on='live')",
                "print('ended:', len(r), r.interrupted, r.faults[-1])",
            )
        ]
    )
    book.metadata = nbformat.read(lab.folder / "00-playground.ipynb", 4).metadata
    nbformat.write(book, lab.folder / "interrupted.ipynb")
    page = new_page()
    open_notebook(page, lab, "interrupted.ipynb")
    start_all(page)
    progress = page.locator(".jp-OutputArea-output:has-text('round_robin on live:')").first
    until(progress.is_visible, "progress", 40)
    until(lambda: "0 requests" not in progress.inner_text(), "requests", 20)
    page.locator("[data-command='notebook:interrupt-kernel'], [title^='Interrupt']").first.click()
    # An interrupt also drops the cells that wait.
    ended(page)
    page.locator(".jp-Cell").nth(2).click()
    page.keyboard.press("Control+Enter")
    until(lambda: page.locator("text=ended:").count() > 0, "the result")
    said = page.locator(".jp-OutputArea-output:has-text('ended:')").first.inner_text()
    assert "True interrupted after" in said
    assert not progress.is_visible()
    page.close()

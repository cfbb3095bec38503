"""Every scene of the theatre in light and dark, at three widths, is compared with the pictures that are kept.

Pictures with letters, for people to look at, are left in build/looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.looks import KEPT, MOST, Looker, cells, difference, kept, scenes
from films import EXPERIMENTS
from needs import need_module
from PIL import Image

need_module("anywidget")

pytestmark = pytest.mark.browser
FOLDER = Path(__file__).parents[2] / "build" / "looks"
NAMES = ["toy", *EXPERIMENTS]
FONTS = 'system-ui, -apple-system, "Segoe UI", sans-serif'


@pytest.fixture(scope="module")
def looker(chromium: Any, pytestconfig: pytest.Config) -> Iterator[Looker]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    page = chromium.new_page(device_scale_factor=1)
    yield Looker(page)
    page.close()
    if reporter := pytestconfig.pluginmanager.get_plugin("terminalreporter"):
        reporter.write_line(f"\npictures of the scenes: {FOLDER}")


@pytest.fixture(scope="module")
def films() -> dict[str, dict[str, Any]]:
    return scenes()


def save(name: str, picture: Image.Image) -> None:
    picture.resize((picture.width * 4, picture.height * 4), Image.Resampling.NEAREST).save(FOLDER / name)


@pytest.mark.parametrize("name", NAMES)
def test_a_scene_looks_as_it_should(looker: Looker, films: dict[str, Any], name: str) -> None:
    looker.open(name, films[name], ('"hands":null', '"hands":{"policies":["random"]}'))
    views, faults = {}, {}
    for theme, width in looker.views():
        views[theme, width] = looker.drawn()
        faults[theme, width] = looker.faults()
        looker.photograph(FOLDER / f"{name}-{width}-{theme}.jpg")
    assert looker.problems == []
    assert {view: found for view, found in faults.items() if found} == {}
    if not (KEPT / f"{name}.webp").exists():
        pytest.fail(f"no picture of {name} is kept: make looks SCENES={name}, and look at it")
    other = {}
    for view, expected in kept(name, views).items():
        found = difference(expected, views[view])
        if cells(found) > MOST:
            other[view] = round(cells(found), 2)
            theme, width = view
            for word, picture in (("kept", expected), ("now", views[view]), ("difference", found)):
                save(f"{name}-{width}-{theme}-{word}.png", picture)
    assert other == {}, f"cells that differ; see {FOLDER}. If it is meant to be so: make looks SCENES={name}"


def test_no_picture_is_kept_of_what_is_no_more() -> None:
    assert {path.stem for path in KEPT.glob("*.webp")} <= set(NAMES)
    assert sum(path.stat().st_size for path in KEPT.glob("*.webp")) < 1_000_000


HATCH = "\n  pen.fill();\n  if (worst?.hatched)"
BROKEN = {  # what is wrong: a text of the page, and what it becomes
    "no dots": ("drawDots(pen, index, layout, moment, look);", ""),
    "a dot is missing": ("moment.dots) {\n    const { x,", "moment.dots.slice(1)) {\n    const { x,"),
    "smaller dots": ("const DOT = 6;", "const DOT = 4;"),
    "no rings": ("drawRings(pen, index, layout, moment, look);", ""),
    "no slots": ("drawSlots(pen, box, theme);", ""),
    "no scores": ("if (look.caption) drawScores(pen, index, layout, look);", ""),
    "no names": ("lines = [{ text: name,", "lines = [{ text: ' ',"),
    "not hatched": ("if (worst?.hatched) hatch(pen, box, theme[worst.tone]);", ""),
    "the chosen road is grey": ("chosen ? colour : theme.hair", "theme.hair"),
    "a client of another colour": ('"colour":"#2350BE"', '"colour":"#D7A10C"'),
    "a server of another colour": (f"theme.panel;{HATCH}", f"theme.slot;{HATCH}"),
}  # fmt: skip
HARMLESS = {
    "half a pixel to the right": ("density, 0, 0, density, 0, 0", "density, 0, 0, density, 0.5, 0"),
    "half a pixel lower": ("density, 0, 0, density, 0, 0", "density, 0, 0, density, 0, 0.5"),
    "drawn on a denser grid": ("globalThis.devicePixelRatio || 1", "2"),
    "serifs": (FONTS, "serif"),
    "broad letters": (FONTS, "monospace"),
}


def seen(looker: Looker, film: dict[str, Any], change: tuple[str, str] = ("", "")) -> Image.Image:
    looker.open("toy", film, change)
    looker.view("light", 800)
    return looker.drawn()


@pytest.fixture(scope="module")
def usual(looker: Looker, films: dict[str, Any]) -> Image.Image:
    return seen(looker, films["toy"])


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_a_broken_drawing_is_noticed(
    looker: Looker, films: dict[str, Any], usual: Image.Image, change: tuple[str, str]
) -> None:
    assert cells(difference(usual, seen(looker, films["toy"], change))) > MOST


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_other_fonts_and_another_antialiasing_are_no_difference(
    looker: Looker, films: dict[str, Any], usual: Image.Image, change: tuple[str, str]
) -> None:
    assert cells(difference(usual, seen(looker, films["toy"], change))) <= MOST / 2
    assert looker.faults() == []


CAPTION = ".lbt-caption { margin: 2px 0 0; min-height: 2.8em;"
CRAMPED = {
    "cut off: lbt-caption": (CAPTION, ".lbt-caption { height: 10px; overflow: hidden;"),
    "lies on": (CAPTION, ".lbt-caption { position: absolute; top: 0;"),
    "outside: ": (CAPTION, ".lbt-caption { white-space: nowrap; padding-left: 300px;"),
    "": ('"text":"the fewest in flight"', f'"text":"{"verylong" * 40}"'),  # it is wrapped: nothing is wrong
}


@pytest.mark.parametrize(("said", "change"), CRAMPED.items(), ids=[*CRAMPED])
def test_words_without_room_are_noticed(
    looker: Looker, films: dict[str, Any], change: tuple[str, str], said: str
) -> None:
    looker.open("toy", films["toy"], change)
    looker.view("light", 420)
    found = looker.faults()
    assert any(said in fault for fault in found) if said else found == []

"""What scenes look like: pictures of the stage, small enough to keep, compared so that faults are noticed.

`make looks` makes the kept ones (tests/browser/looks/NAME.webp) anew: look at them before you commit them.

Fonts differ between machines, so in what is compared a word is a bar: as long as its letters are many, of
its size and colour, where it is. The letters, with this machine's fonts, are in the pictures that
`photograph` keeps for people, and `faults` asks the browser whether they have the room that they need.

Edges differ, too, by the browser's antialiasing. So a picture is reduced to cells of 4 x 4 pixels and blurred
by one cell, and a cell may be anything between the darkest and the lightest of the nine around the same place
in the other picture. What is left of another antialiasing (a screen of twice the density, a shift by half a
pixel) is at most 8 of 255 in a cell, and 0.15 cells in a picture, where a dot that is missing is 0.4 or more.
What is as faint as the clients' roads, lines of 1.5 pixels in a tenth of the contrast, can be missing without
being noticed.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from films import EXPERIMENTS, result_of
from PIL import Image, ImageChops, ImageFilter
from viz.theatre.toy import every_outcome

from lbkit.viz.theatre import film
from lbkit.viz.theatre.page import page as saved

KEPT = Path(__file__).with_name("looks")
WIDTHS = (1366, 800, 420)
THEMES = ("light", "dark")
CELL = 4  # pixels
SLIGHT = 6  # of 255: a smaller difference of a cell is none
MOST = 0.3  # cells of a picture that may differ in all
MOMENTS = {
    "toy": 0.5,
    "small": 4.0,
    "windows": 1.45,
    "shaper": 1.5,
    "pace": 1.9,
    "gate": 3.0,
    "codel": 1.7,
    "layers": 9.3,
}  # seconds of the run at which a scene is looked at; else after three fifths

# Words as bars, where `asBars` is set.
BARS = """(() => {
  const pen = CanvasRenderingContext2D.prototype;
  const { fillText, measureText } = pen;
  const size = (pen) => parseFloat(pen.font.match(/([\\d.]+)px/)[1]);
  const wide = (pen, text) => 0.56 * size(pen) * text.length;
  pen.measureText = function (text) {
    return window.asBars ? { width: wide(this, text) } : measureText.call(this, text);
  };
  pen.fillText = function (text, x, y) {
    if (!window.asBars) return fillText.call(this, text, x, y);
    const [width, height] = [wide(this, text), 0.6 * size(this)];
    const left = { center: x - width / 2, right: x - width, end: x - width }[this.textAlign] ?? x;
    const top = { middle: y - height / 2, top: y, hanging: y }[this.textBaseline] ?? y - height;
    this.fillRect(left, top, width, height);
  };
})()"""
SEEK = """([t, bars]) => {
  window.asBars = bars;
  const { theatre } = document.getElementById("theatre");
  const { steps } = theatre.player;
  theatre.player.seek(steps.findLast((step) => step <= t) ?? t);
  theatre.refresh();
  theatre.cover.hidden = true;
}"""
# All canvases of the stage, below each other.
DRAWN = """() => {
  const { theatre } = document.getElementById("theatre");
  const layers = theatre.stages.flatMap((stage) => stage.layers());
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(...layers.map(({ width }) => width));
  canvas.height = layers.reduce((sum, { height }) => sum + height, 0);
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.fillStyle = theatre.theme.page;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  let y = 0;
  for (const { canvases, width, height } of layers) {
    for (const layer of canvases) pen.drawImage(layer, 0, y, width, height);
    y += height;
  }
  return canvas.toDataURL("image/png").split(",")[1];
}"""
# Words of the page that are cut off, lie on others, or stand out of the theatre.
FAULTS = """() => {
  const found = [];
  const words = ".lbt-head strong, .lbt-counts, .lbt-caption, .lbt-prop figcaption, .lbt-prop-words, "
    + ".lbt-time, .lbt-speed output, .lbt-sign, .lbt-notes li, .lbt-knob";
  const root = document.querySelector(".lbkit-theatre").getBoundingClientRect();
  const places = [];
  for (const element of document.querySelectorAll(words)) {
    const name = `${element.className || element.tagName}: ${element.textContent}`;
    const { left, top, right, bottom, width } = element.getBoundingClientRect();
    if (!width || !element.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(element);
    const needs = range.getBoundingClientRect();
    const clips = getComputedStyle(element).overflow !== "visible";
    if (clips && (needs.right > right + 1 || needs.bottom > bottom + 3 || needs.left < left - 1))
      found.push(`cut off: ${name}`);
    if (needs.right > root.right + 1 || needs.left < root.left - 1 || bottom > root.bottom + 1)
      found.push(`outside: ${name}`);
    const on = places.find((other) => needs.width
      && other.left < needs.right - 1 && needs.left < other.right - 1
      && other.top < needs.bottom - 3 && needs.top < other.bottom - 3);
    if (on) found.push(`${name} lies on ${on.name}`);
    places.push({ left: needs.left, top: needs.top, right: needs.right, bottom: needs.bottom, name });
  }
  const caption = document.querySelector(".lbt-caption");
  if (!caption.textContent.trim()) found.push("no caption");
  if (document.documentElement.scrollWidth > innerWidth) found.push("the page scrolls sideways");
  return found;
}"""


def scenes() -> dict[str, dict[str, Any]]:
    """Return a film, as plain data, by the name of its scene."""
    return {"toy": every_outcome()} | {name: film(result_of(name)).to_dict() for name in EXPERIMENTS}


class Looker:
    """A page of the browser that looks at one film after the other."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.problems: list[str] = []
        page.add_init_script(BARS)
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    def open(self, name: str, scene: dict[str, Any], change: tuple[str, str] = ("", "")) -> None:
        """Open the page of a film; `change` is a text of its source, and what it becomes."""
        html = saved([scene])
        assert change[0] in html
        self.page.goto("about:blank")
        self.page.set_content(html.replace(*change) if change[0] else html)
        last = scene["start"] + 0.6 * (scene["end"] - scene["start"])
        self.moment = MOMENTS.get(name, last)

    def views(self) -> Iterator[tuple[str, int]]:
        """Yield each theme and width, and show them."""
        for width in WIDTHS:
            for theme in THEMES:
                self.view(theme, width)
                yield theme, width

    def view(self, theme: str, width: int) -> None:
        self.page.set_viewport_size({"width": width, "height": 2000})
        self.page.emulate_media(color_scheme=theme)

    def drawn(self) -> Image.Image:
        """Return the present view with words as bars, reduced to cells."""
        self.page.evaluate(SEEK, [self.moment, True])
        picture = Image.open(BytesIO(base64.b64decode(self.page.evaluate(DRAWN)))).convert("RGB")
        return picture.reduce(CELL)

    def faults(self) -> list[str]:
        """Return what is wrong with the words of the present view, with the fonts of this machine."""
        self.page.evaluate(SEEK, [self.moment, False])
        found: list[str] = self.page.evaluate(FAULTS)
        return found

    def photograph(self, path: Path) -> None:
        self.page.locator(".lbkit-theatre").screenshot(path=path, type="jpeg", quality=80)


Views = dict[tuple[str, int], Image.Image]  # by theme and width


def sheet(views: Views) -> Image.Image:
    """Return one picture of a scene's views: a column for each theme, a row for each width."""
    rows = [[views[theme, width] for theme in THEMES] for width in WIDTHS]
    tall = [max(view.height for view in row) for row in rows]
    wide = max(view.width for row in rows for view in row)
    made = Image.new("RGB", (wide * len(THEMES), sum(tall)))
    for number, row in enumerate(rows):
        for column, view in enumerate(row):
            made.paste(view, (column * wide, sum(tall[:number])))
    return made


def kept(name: str, views: Views) -> Views:
    """Return the kept pictures of a scene, cut from their sheet by the sizes of these views.

    Raises FileNotFoundError if there are none, ValueError if the sheet has another size."""
    made, rows = Image.open(KEPT / f"{name}.webp").convert("RGB"), sheet(views)
    if made.size != rows.size:
        raise ValueError(f"{name}: its pictures had {made.size} cells in all, and have {rows.size}")
    found, top = {}, 0
    for width in WIDTHS:
        for column, theme in enumerate(THEMES):
            wide, tall = views[theme, width].size
            left = column * made.width // len(THEMES)
            found[theme, width] = made.crop((left, top, left + wide, top + tall))
        top += max(views[theme, width].height for theme in THEMES)
    return found


def difference(one: Image.Image, other: Image.Image) -> Image.Image:
    """Return how far each cell of a picture is from those around its place in the other, both ways; grey."""
    both = ImageChops.lighter(_beyond(one, other), _beyond(other, one)).split()
    return ImageChops.lighter(ImageChops.lighter(both[0], both[1]), both[2])


def _beyond(one: Image.Image, other: Image.Image) -> Image.Image:
    one, other = (picture.filter(ImageFilter.GaussianBlur(1)) for picture in (one, other))
    low, high = other.filter(ImageFilter.MinFilter(3)), other.filter(ImageFilter.MaxFilter(3))
    return ImageChops.lighter(ImageChops.subtract(one, high), ImageChops.subtract(low, one))


def cells(found: Image.Image) -> float:
    """Return the size of a difference: 1 is one cell that is black and should be white."""
    return sum(count * max(0, value - SLIGHT) for value, count in enumerate(found.histogram())) / 255


def keep(looker: Looker, wanted: Sequence[str] = ()) -> None:
    """Make the kept pictures of scenes anew, of all by default; remove those of scenes that are no more."""
    found = scenes()
    for name in wanted or found:
        looker.open(name, found[name])
        path = KEPT / f"{name}.webp"
        sheet({view: looker.drawn() for view in looker.views()}).save(path, lossless=True, method=6)
        print(f"{path}: {path.stat().st_size:,} bytes")
    for path in KEPT.glob("*.webp"):
        if path.stem not in found:
            path.unlink()


if __name__ == "__main__":
    from browser.jupyter import SWITCHES
    from playwright.sync_api import sync_playwright

    from lbkit.needs import PROGRAMS, find_program

    with sync_playwright() as playwright:
        program = find_program(PROGRAMS["chromium"].names)
        browser = playwright.chromium.launch(executable_path=program, args=SWITCHES)
        keep(Looker(browser.new_page()), sys.argv[1:])
        browser.close()

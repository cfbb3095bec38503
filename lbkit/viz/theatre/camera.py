"""Recordings of the stage, for slides and for pages without scripts, by a browser without a window.

The browser has the page that `page` makes. Its clock is set, a picture is taken, the clock is set again: so
what is recorded does not depend on how busy this machine is.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from lbkit.core.options import number, whole
from lbkit.core.text import shown
from lbkit.needs import PROGRAMS, find_program, why_not
from lbkit.viz.theatre.page import page

MOST = 1_500  # pictures: two minutes
WIDEST = 4_000  # pixels
SEEK = """t => {
  const { theatre } = document.getElementById("theatre");
  theatre.player.seek(t);
  theatre.cover.hidden = true;
  return theatre.root.offsetHeight;
}"""
DRAWN = "() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))"
# Plays pictures on a canvas, each for its time, and returns what the browser's own encoder made of them.
ENCODE = """async ({ pictures, fps }) => {
  const images = await Promise.all(pictures.map(async data => {
    const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
    return createImageBitmap(new Blob([bytes], { type: "image/png" }));
  }));
  const { width, height } = images[0], chunks = [];
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const pen = canvas.getContext("2d");
  const stream = canvas.captureStream();
  const recorder = new MediaRecorder(stream, { mimeType: "video/webm", videoBitsPerSecond: 4e6 });
  recorder.ondataavailable = ({ data }) => chunks.push(data);
  const ended = new Promise(end => { recorder.onstop = end; });
  recorder.start();
  for (const image of images) {
    pen.drawImage(image, 0, 0);
    await new Promise(next => setTimeout(next, 1000 / fps));
  }
  recorder.stop();
  await ended;
  const bytes = new Uint8Array(await new Blob(chunks).arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}"""


def record(
    films: Sequence[dict[str, Any]],
    path: str | Path,
    *,
    start: float | None = None,
    seconds: float = 8.0,
    speed: float = 1.0,
    fps: int = 12,
    width: int = 900,
    dark: bool = False,
) -> Path:
    """Write films, given as plain data, as a .gif, .webp or .webm. Returns its path.

    `start`: seconds of the run, by default the film's first. `seconds`: of the recording. `speed`: of the
    film, 1 is the usual one. `fps`: pictures a second. `width`: pixels. Raises ValueError for a wrong option
    or ending, RuntimeError without Chromium or a package."""
    path = Path(path)
    number(0, above=True, seconds=seconds, speed=speed)
    whole(1, fps=fps)
    whole(1, WIDEST, width=width)
    if start is not None:
        number(0, start=start)
    if path.suffix not in WRITERS:
        raise ValueError(f"path is {shown(str(path))}: use a name that ends with .html, {', '.join(WRITERS)}")
    if not 1 <= seconds * fps <= MOST:
        raise ValueError(f"seconds are {seconds:g}: with {fps} pictures in each, use 1 to {MOST} pictures")
    if reason := why_not("record"):
        raise RuntimeError(reason)
    begin = films[0]["start"] if start is None else start
    step = films[0]["pace"] * speed / fps
    times = [begin + step * i for i in range(round(seconds * fps))]

    def shoot() -> None:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            program = find_program(PROGRAMS["chromium"].names)
            switches = ["--no-sandbox", "--disable-gpu"]
            browser = playwright.chromium.launch(executable_path=program, args=switches)
            scheme: Literal["dark", "light"] = "dark" if dark else "light"
            tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            tab.set_content(page(films))
            tab.add_style_tag(content="body { padding: 0 !important }")
            WRITERS[path.suffix](list(pictures(tab, times)), path, fps, tab)
            browser.close()

    # In a thread: a notebook's own has a running loop, in which Playwright refuses to work.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(shoot).result()
    return path


def pictures(tab: Any, times: Sequence[float]) -> Iterator[bytes]:
    """Yield a picture (PNG) of the stage at each of these moments, all of one size."""
    width = tab.viewport_size["width"]
    height = max(tab.evaluate(SEEK, time) for time in times)  # long captions take a line more
    for time in times:
        tab.evaluate(SEEK, time)
        tab.evaluate(DRAWN)
        yield tab.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})


def _write_images(shots: Sequence[bytes], path: Path, fps: int, tab: Any) -> None:
    from PIL import Image

    images = [Image.open(BytesIO(shot)).convert("RGB") for shot in shots]
    if path.suffix == ".gif":  # one palette for all pictures, so that what rests does not flicker
        palette = images[len(images) // 2].quantize(128)
        images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    first, *others = images
    first.save(path, save_all=True, append_images=others, duration=round(1000 / fps), loop=0)


def _write_video(shots: Sequence[bytes], path: Path, fps: int, tab: Any) -> None:
    plain = [base64.b64encode(shot).decode() for shot in shots]
    path.write_bytes(base64.b64decode(tab.evaluate(ENCODE, {"pictures": plain, "fps": fps})))


WRITERS: dict[str, Callable[[Sequence[bytes], Path, int, Any], None]] = {
    ".gif": _write_images,
    ".webp": _write_images,
    ".webm": _write_video,
}

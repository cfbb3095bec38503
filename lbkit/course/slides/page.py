"""A deck as one file of HTML: it makes no requests, and needs no Python."""

from __future__ import annotations

import json
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from lbkit.course.bank import Choice, find_questions
from lbkit.course.bank.export import right_answer
from lbkit.course.slides.deck import Deck, Slide
from lbkit.course.slides.stages import stage
from lbkit.run import run
from lbkit.viz.theatre.film import film
from lbkit.viz.theatre.page import HEAD
from lbkit.viz.theatre.script import script, spec, style

HERE = Path(__file__).parent

PAGE = (
    HEAD
    + """<style>
{style}
</style>
</head>
<body>
<main>
{slides}
</main>
<footer><span id="place" role="status"></span>
<span>→ next · space plays · s notes · n window of notes</span></footer>
<script type="application/json" id="specs">{specs}</script>
<script type="module">
{script}
</script>
</body>
</html>
"""
)


@cache
def _spec(name: str, folder: Path) -> str:
    """Return what a stage plays, as JSON."""
    films = [film(run(e, record=not e.tiers)).to_dict() for e in stage(name, folder)]
    return json.dumps(spec(films), allow_nan=False, separators=(",", ":"))


def page(deck: Deck) -> str:
    """Return the HTML of a deck. Raises ValueError for an unknown stage or question."""
    specs, sections = [], []
    for place, slide in enumerate(deck.slides, 1):
        try:
            if slide.stage:
                specs.append(_spec(slide.stage, deck.folder))
            sections.append(section(slide, len(specs) - 1))
        except (ValueError, OSError) as error:
            raise ValueError(f"{deck.name}, slide {place} ({slide.title!r}): {error}") from None
    return PAGE.format(
        title=escape(deck.title),
        style=style() + (HERE / "deck.css").read_text(encoding="utf-8"),
        slides="\n".join(sections),
        # No text of a film can end the script.
        specs="[" + ",".join(text.replace("<", "\\u003c") for text in specs) + "]",
        # The theatre's module exports; one that is inline cannot be imported, so it only declares `render`.
        script=script().replace("export default { render };", "")
        + (HERE / "deck.js").read_text(encoding="utf-8"),
    )


def section(slide: Slide, number: int) -> str:
    """Return the HTML of a slide; `number` is that of its stage's spec."""
    kind = "stage" if slide.stage else "question" if slide.question else "points" if slide.points else "title"
    parts = [f"<h2>{escape(slide.title)}</h2>", *_points(slide.points)]
    if slide.stage:
        parts.append(f'<div class="theatre" data-spec="{number}"></div>')
    if slide.question:
        parts.append(_question(slide))
    if slide.notes:
        parts.append(f'<aside class="notes">{escape(slide.notes)}</aside>')
    head = f'<section class="{kind}" hidden aria-label="{escape(slide.title)}">'
    return "\n".join([head, *parts, "</section>"])


def _points(points: Any) -> list[str]:
    items = "".join(f"<li>{escape(point)}</li>" for point in points)
    return [f"<ul>{items}</ul>"] if items else []


def _question(slide: Slide) -> str:
    """Return a question, and its answer, which is hidden until it is asked for."""
    (question,) = find_questions([slide.question])
    variant = question.variant(slide.seed)
    options = ""
    if isinstance(variant.asked, Choice):
        items = [f"<li{' data-right' * o.holds}>{escape(o.text)}</li>" for o in variant.asked.options]
        options = f'<ol type="a">{"".join(items)}</ol>'
    said = f"<strong>{escape(right_answer(variant, tolerance=False))}.</strong> {escape(variant.asked.why)}"
    return f'<p>{escape(variant.asked.text)}</p>{options}<p class="answer" hidden>{said}</p>'


def write(deck: Deck, path: Path) -> Path:
    """Write a deck as a file. Returns its path. Raises ValueError, OSError."""
    path.write_text(page(deck), encoding="utf-8")
    return path

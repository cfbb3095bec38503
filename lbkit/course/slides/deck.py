"""A deck, as data: its slides, and the files that decks come from."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from attrs import field, frozen
from attrs.validators import instance_of

from lbkit.checks import several, text, whole
from lbkit.core.text import unknown

DECKS = Path(__file__).with_name("decks")
FIELDS = {"title", "points", "stage", "question", "seed", "notes"}


def _points(what: Any) -> tuple[str, ...]:
    return several(what)


def _stripped(what: Any) -> Any:
    return what.strip() if isinstance(what, str) else what


@frozen
class Slide:
    """A slide: a title, and at most one of a stage, a question and some points of few words.

    `stage`: a name in stages.STAGES, or the file of an experiment. `question`: a name in the question bank,
    drawn with `seed`. `notes`: what the speaker says. Raises ValueError."""

    title: str = field(validator=text(empty=False))
    points: tuple[str, ...] = field(default=(), converter=_points)
    stage: str = field(default="", validator=text())
    question: str = field(default="", validator=text())
    seed: int = field(default=1, validator=whole(0))
    notes: str = field(default="", validator=instance_of(str), converter=_stripped)

    def __attrs_post_init__(self) -> None:
        if self.stage and self.question:
            raise ValueError(f"{self.title!r} has a stage and a question: use two slides")


@frozen
class Deck:
    """A deck: `name` is that of its file; `folder` is where files of experiments are looked for."""

    name: str
    title: str
    slides: tuple[Slide, ...]
    folder: Path = DECKS


def read_deck(path: Path) -> Deck:
    """Return the deck in a TOML file. Raises ValueError for what is wrong in it, and where; OSError."""
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: no TOML ({error})") from None
    if not isinstance(title := said.get("title"), str) or not isinstance(said.get("slides"), list):
        raise ValueError(f'{path}: a deck has a line title = "...", and [[slides]]')
    slides = [_slide(f"{path}, slide {place}", table) for place, table in enumerate(said["slides"], 1)]
    return Deck(path.stem, title, tuple(slides), path.parent)


def _slide(where: str, table: dict[str, Any]) -> Slide:
    if "title" not in table:
        raise ValueError(f"{where}: it has no title")
    for name in table:
        if name not in FIELDS:
            raise ValueError(f"{where}: {unknown(name, sorted(FIELDS), 'field')}")
    try:
        return Slide(**table)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def all_decks() -> list[str]:
    """Return the names of the kit's decks."""
    return sorted(path.stem for path in DECKS.glob("*.toml"))


def find_deck(name: str) -> Deck:
    """Return a deck of the kit, or the one in a file. Raises ValueError, OSError."""
    if name in all_decks():
        return read_deck(DECKS / f"{name}.toml")
    path = Path(name)
    if path.suffix != ".toml":
        raise ValueError(unknown(name, all_decks(), "deck") + "; or the name of a .toml file")
    return read_deck(path)

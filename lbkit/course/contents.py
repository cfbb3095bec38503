"""The notebooks as a list: title, minutes, programs, claims and labs, read from the notebooks themselves.

README's table, the index and a learner's overview are made of it, so that they agree with what is there.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lbkit.course.lab import Lab, all_labs
from lbkit.course.progress import claims_of

# Features that need a program which `make lab` does not install, and the program's own name.
PROGRAMS = {
    "nginx": "nginx",
    "haproxy": "HAProxy",
    "apache": "Apache httpd",
    "caddy": "Caddy",
    "redis": "Redis",
    "postgres": "PostgreSQL",
    "anycast": "BIRD",
    "modsecurity": "ModSecurity",
    "monitor": "Prometheus",
    "docker": "Docker",
}
WRITES = ("render", "notes")  # functions for which a program need not be here
MINUTES = re.compile(r"About (\d+) minutes")
NUMBER = re.compile(r"\b\d\db?\b")


@dataclass(frozen=True)
class Chapter:
    """A notebook of the course."""

    file: str  # "03b-more-algorithms.ipynb"
    title: str
    minutes: int  # of a first reading, without the exercises
    programs: tuple[str, ...]  # features of `why_not` that it shows where their programs are installed
    claims: tuple[str, ...]  # in the order of the notebook
    labs: tuple[Lab, ...]  # that come after it

    @property
    def number(self) -> str:
        return self.file.partition("-")[0]

    @property
    def topic(self) -> str:
        return self.file.removesuffix(".ipynb").partition("-")[2].replace("-", " ")


def chapters(folder: Path | str = ".") -> list[Chapter]:
    """Return the notebooks of a folder that have a number, in order.

    Raises ValueError if there are none, or if one does not say its title and minutes; OSError."""
    paths = sorted(Path(folder).glob("[0-9][0-9]*.ipynb"))
    if not paths:
        raise ValueError(
            f"{Path(folder).resolve()}: no notebooks here; `lbkit lab` opens them in their folder"
        )
    labs: dict[str, list[Lab]] = {}
    for lab in all_labs():
        labs.setdefault(chapter_of(lab), []).append(lab)
    return [read_chapter(path, labs.get(path.stem.partition("-")[0], [])) for path in paths]


def read_chapter(path: Path, labs: list[Lab]) -> Chapter:
    """Return what a notebook says of itself. Raises ValueError, OSError."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        opening = "".join(cells[0]["source"])
        title = re.findall(r"^# (.+)", opening)[0]
        minutes = MINUTES.findall(opening)[0]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"{path}: not a notebook with a title and its minutes in the first cell ({error!r}): "
            "delete it, and `lbkit lab` makes a new copy"
        ) from None
    claims = dict.fromkeys(claim for cell in cells for claim in claims_of(cell))
    return Chapter(path.name, title, int(minutes), programs_of(cells), tuple(claims), tuple(labs))


def programs_of(cells: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the features in PROGRAMS that the code of these cells names, other than to write their files."""
    named: set[object] = set()
    for cell in cells:
        if cell["cell_type"] == "code":
            try:
                flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
                tree = compile("".join(cell["source"]), "cell", "exec", flags)
            except SyntaxError:  # a learner's copy may be half written
                continue
            named |= set(values(tree))
    return tuple(name for name in PROGRAMS if name in named)


def values(tree: ast.AST) -> Iterator[object]:
    """Yield the constants of code, without those of calls that write a configuration."""
    if isinstance(tree, ast.Constant):
        yield tree.value
    if not (isinstance(tree, ast.Call) and getattr(tree.func, "id", "") in WRITES):
        for child in ast.iter_child_nodes(tree):
            yield from values(child)


def chapter_of(lab: Lab) -> str:
    """Return the number of the notebook that leads to a lab: the last that its task names."""
    *_, last = NUMBER.finditer(lab.task.before.partition(";")[0])
    return last[0]

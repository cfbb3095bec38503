"""A lab on disk: its folder, its task, and the learner's code in a file, a notebook or a cell."""

from __future__ import annotations

import inspect
import json
import linecache
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FunctionType
from typing import Any

from lbkit.core.text import unknown
from lbkit.course.mistakes import Mistake, mistakes_in
from lbkit.course.report import Report, report
from lbkit.course.task import Task, load_task
from lbkit.material import WORKBOOK, find_course, home

LABS = "labs"
BETWEEN = "\n\n\n"  # cells of a solution that has several


def all_labs() -> list[Lab]:
    """Return every lab, in order."""
    course = find_course()
    paths = sorted((course / LABS).glob("[0-9][0-9]-*/source/checks.py")) if course else []
    return [Lab(path.parents[1]) for path in paths]


def find_lab(name: str) -> Lab:
    """Return the lab of a number ("3", "03") or name ("03-explore", "explore"). Raises ValueError."""
    labs = all_labs()
    if not labs:
        raise ValueError(
            "this installation has no labs: install lbkit from a wheel, or work in a clone of it"
        )
    for lab in labs:
        number, _, word = lab.name.partition("-")
        if name in (lab.name, word) or (name.isdigit() and int(name) == int(number)):
            return lab
    raise ValueError(unknown(name, [lab.name for lab in labs], "lab"))


@dataclass(frozen=True)
class Lab:
    """A lab in `folder`: the learner's files are there, and the authors' in source/."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def checks_file(self) -> Path:
        return self.source / "checks.py"

    @property
    def own_folder(self) -> Path:
        """The learner's folder: their copy in the workbook, if there is one."""
        own = home() / WORKBOOK / LABS / self.name
        return own if own.is_dir() else self.folder

    @cached_property
    def task(self) -> Task:
        return load_task(self.checks_file)

    @property
    def right(self) -> dict[str, Path]:
        """The authors' other right solutions, by name."""
        return {path.stem: path for path in sorted((self.source / "right").glob("*.py"))}

    @property
    def mistakes(self) -> dict[str, Mistake]:
        """Typical mistakes, by name."""
        return mistakes_in(*((self.source / name).read_text() for name in ("wrong.md", "solution.py")))

    def check(self, source: str, file: str, hidden: bool = False) -> Report:
        """Check the code of a learner; with `hidden`, by the instructor's checks only."""
        from lbkit.course.sandbox import run_checks  # needs psutil

        checks = [check for check in self.task.checks.values() if check.hidden is hidden]
        run = run_checks(self.checks_file, checks, source, file)
        return report(self.task, checks, run, file)

    def work_file(self, folder: Path) -> Path:
        """Return the file in a learner's folder that was worked on: the module or the notebook.

        If both differ from the starters, it is the newer one. Raises ValueError if there is neither."""
        files = [folder / f"{self.task.module}{suffix}" for suffix in (".ipynb", ".py")]
        there = [file for file in files if file.is_file()]
        if not there:
            raise ValueError(f"{folder}: there is no {files[0].name} and no {files[1].name} here")
        changed = [file for file in there if code_of(file) != code_of(self.folder / file.name)]
        return max(changed or there, key=lambda file: file.stat().st_mtime)


def code_of(file: Path) -> str:
    """Return the learner's code: all of a module, or the cells of a notebook that are to be filled in.

    Raises ValueError, OSError."""
    try:
        text = file.read_text(encoding="utf-8-sig")  # some editors put a mark at the beginning
    except UnicodeDecodeError:
        raise ValueError(f"{file}: not a text in UTF-8; save it as one") from None
    if file.suffix != ".ipynb":
        return text
    try:
        cells: Iterable[dict[str, Any]] = json.loads(text)["cells"]
        marked = [cell for cell in cells if cell["metadata"].get("nbgrader", {}).get("solution")]
        sources = ["".join(cell["source"]) for cell in marked if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file}: not a notebook ({error}): mend it, or delete it, and `lbkit lab` makes a new copy"
        ) from None
    if not sources:
        raise ValueError(f"{file}: the cell for your code is gone; copy it from the lab's own notebook")
    return BETWEEN.join(sources)


def source_of(thing: Any) -> tuple[str, str]:
    """Return the source of the cell or file that defines a class or function, and the name of that file.

    Raises ValueError if it is not known."""
    for function in functions_of(thing):
        name = function.__code__.co_filename
        if lines := linecache.getlines(name):
            return "".join(lines), name
    if inspect.isclass(thing) and thing.__module__ != "builtins":
        raise ValueError(f"`{thing.__name__}` has no method of its own yet: write it in its cell")
    raise ValueError(f"the source of {thing!r} is not known here: define it in a cell of the notebook")


def functions_of(thing: Any) -> Iterator[FunctionType]:
    """Yield a function, or the methods that a class itself has."""
    for member in vars(thing).values() if inspect.isclass(thing) else (thing,):
        for function in (member, getattr(member, "__func__", None), getattr(member, "fget", None)):
            if inspect.isfunction(function):
                yield function

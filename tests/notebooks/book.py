"""A notebook as cells that run in this process, one after another, as they stand or with an edit."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import linecache
import re
import traceback
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

FOLDER = Path(__file__).parents[2] / "notebooks"
INDEX = FOLDER / "index.ipynb"
NOTEBOOKS = sorted(FOLDER.glob("[0-9]*.ipynb"))
SOLUTIONS = sorted(FOLDER.glob("solutions/*.ipynb"))


@dataclass(frozen=True)
class Cell:
    id: str
    kind: str
    source: str
    tags: tuple[str, ...] = ()

    @property
    def claims(self) -> list[str]:
        return [tag.removeprefix("claim-") for tag in self.tags if tag.startswith("claim-")]


def cells(path: Path) -> list[Cell]:
    """Return the cells of a notebook, in order."""
    return [
        Cell(c["id"], c["cell_type"], "".join(c["source"]), tuple(c["metadata"].get("tags", ())))
        for c in json.loads(path.read_text(encoding="utf-8"))["cells"]
    ]


@dataclass(frozen=True)
class Edit:
    """A change of a cell's source: `old` becomes `new` everywhere; without `old`, `new` is put before it."""

    cell: str
    old: str
    new: str

    def applied(self, source: str) -> str:
        if not self.old:
            return f"{self.new}\n{source}"
        if self.old not in source:
            raise ValueError(f"{self.cell} does not contain {self.old!r}: adapt the edit to the notebook")
        return source.replace(self.old, self.new)


@dataclass
class Book:
    """The code cells of a notebook, and the names that they have defined so far."""

    path: Path
    done: int = 0  # cells that have run
    names: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.code = [cell for cell in cells(self.path) if cell.kind == "code"]
        self.names |= {"__name__": "__main__", "display": lambda *_: None}
        self._runner = asyncio.Runner()  # cells of a notebook run inside an event loop

    def close(self) -> None:
        self._runner.close()

    def index(self, cell: str) -> int:
        """Raises KeyError for a cell that there is not."""
        for i, each in enumerate(self.code):
            if each.id == cell:
                return i
        raise KeyError(f"{self.path.name} has no code cell {cell}")

    def run_until(self, end: int) -> None:
        """Run the cells before number `end` that have not run yet, as they stand."""
        for cell in self.code[self.done : end]:
            self._run(cell, cell.source, self.names)
        self.done = max(self.done, end)

    def run_edited(
        self, at: str, edits: Iterable[Edit], patches: Iterable[tuple[str, Any]] = (), since: str = ""
    ) -> AssertionError | None:
        """Run the cells from the first edited one, or `since`, to `at` with the edits, on a copy of names.

        Returns the AssertionError of cell `at`, or None if its assertions hold. Cells of other claims may
        fail on the way; any other error is raised. The cells before run as they stand. `patches`: targets
        of unittest.mock.patch and what replaces them."""
        edits = list(edits)
        last = self.index(at)
        first = min([self.index(edit.cell) for edit in edits] + [self.index(since or at)])
        self.run_until(first)
        names = dict(self.names)
        with ExitStack() as stack:
            for target, replacement in patches:
                stack.enter_context(patch(target, replacement))
            for cell in self.code[first : last + 1]:
                source = cell.source
                for edit in edits:
                    if edit.cell == cell.id:
                        source = edit.applied(source)
                try:
                    self._run(cell, source, names)
                except AssertionError as error:
                    if cell.id == at:
                        return error
                    if not cell.claims:
                        raise
        return None

    def _run(self, cell: Cell, source: str, names: dict[str, Any]) -> None:
        name = f"{self.path.name}[{cell.id}]"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)  # as in a kernel
        code = compile(source, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

        async def run() -> None:
            begun = eval(code, names)
            if code.co_flags & inspect.CO_COROUTINE:  # a cell may await
                await begun

        self._runner.run(run())


def where(error: BaseException) -> str:
    """Return the innermost line of the error's traceback that lies in a notebook's cell."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if re.search(r"\.ipynb\[", f.filename)]
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "outside of the notebook"

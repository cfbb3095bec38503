"""A lab inside a notebook: `lab = open_lab("01")`, then `lab.check()`, or the button of `lab.button()`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lbkit.course import progress
from lbkit.course.lab import BETWEEN, Lab, find_lab, functions_of, source_of
from lbkit.course.report import Report
from lbkit.course.task import near


class NotYet(ValueError):
    """The learner's code is not there yet. A notebook shows the message alone, and runs no further."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


CELL = "your cell"  # the name of the code in reports
LINE = re.compile(rf"\b(?:(?<=in )line|{CELL}, line) (\d+)")  # as own_code.py and contract.py say it


class OpenLab:
    """A lab and the names of the notebook that it is open in."""

    def __init__(self, lab: Lab, names: dict[str, Any]) -> None:
        self.lab = lab
        self._names = names

    def cells(self) -> list[str]:
        """Return the cells that define what the task asks for. Raises ValueError if one is missing."""
        return list(dict.fromkeys(source_of(self._defined(name))[0] for name in self._asked()))

    def written(self, *names: str) -> None:
        """Raise NotYet if these, or all that the task asks for, are not written: what follows needs them."""
        for name in names or self._asked():
            for function in functions_of(self._defined(name)):
                if "NotImplementedError" in function.__code__.co_names:
                    raise NotYet(
                        f"`{function.__qualname__}` is not written yet: write it in the cell for your code, "
                        "run that cell, and then this one"
                    )

    def _asked(self) -> list[str]:
        """Return the names that the task asks for, after those that may stand beside them."""
        task = self.lab.task
        return [*(name for name in task.beside if name in self._names), *task.defines]

    def _defined(self, name: str) -> Any:
        if name not in self._names:
            there = near(name, self._names)
            todo = "keep the name that the lab gave it" if there else "run the cell that defines it"
            raise NotYet(f"there is no `{name}` yet{there}: {todo}")
        return self._names[name]

    def check(self) -> Report:
        """Check the code as it was last run, and note the points as progress."""
        report = self._report()
        why = progress.could_not_note(lambda: progress.note_lab(self.lab.name, report))
        return replace(report, note=why)

    def grade(self, hidden: bool = False) -> int:
        """Show the report and return the points: the value of a cell that nbgrader grades.

        `hidden` takes the instructor's checks in place of the others."""
        from IPython.display import display

        show: Any = display
        report = self._report(hidden)
        show(report)
        return report.points

    def _report(self, hidden: bool = False) -> Report:
        try:
            cells = self.cells()
        except ValueError as error:
            return Report(self.lab.task.title, CELL, (), str(error))
        found = self.lab.check(BETWEEN.join(cells), CELL, hidden)
        outcomes = tuple(replace(each, happened=in_cells(each.happened, cells)) for each in found.outcomes)
        return replace(found, outcomes=outcomes, problem=in_cells(found.problem, cells))

    def button(self) -> Any:
        """Return a button that checks the code as it was last run."""
        import ipywidgets as widgets

        from lbkit.viz.widget import Words

        button = widgets.Button(description="Check my code", button_style="primary")
        said = widgets.HTML()

        def clicked(_: object) -> None:
            button.disabled = True
            said.value = "checking ..."
            try:
                said.value = self.check()._repr_html_()
            except BaseException as error:
                said.value = f"the check itself was stopped ({type(error).__name__}): press the button again"
                raise
            finally:
                button.disabled = False

        button.on_click(clicked)
        return Words([button, said])


def in_cells(said: str, cells: Sequence[str]) -> str:
    """Return a message about cells that were joined, with its lines counted in the cell that they are in."""

    def place(found: re.Match[str]) -> str:
        line = int(found[1])
        for number, cell in enumerate(cells, 1):
            if line <= (length := cell.count("\n") + len(BETWEEN)):
                return f"line {line} of cell {number} of yours"
            line -= length
        return found[0]

    return LINE.sub(place, said) if len(cells) > 1 else said


def open_lab(name: str, names: dict[str, Any] | None = None) -> OpenLab:
    """Return a lab for the notebook, or the script, that calls this. Raises ValueError for an unknown one."""
    if names is None:
        import __main__

        names = vars(__main__)
    return OpenLab(find_lab(name), names)

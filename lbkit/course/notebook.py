"""A lab inside a notebook: `lab = open_lab("01")`, then `lab.check()`, or the button of `lab.button()`."""

from __future__ import annotations

from typing import Any

from lbkit.course import progress
from lbkit.course.lab import Lab, find_lab, source_of
from lbkit.course.report import Report

CELL = "your cell"  # the name of the code in reports


class OpenLab:
    """A lab and the names of the notebook that it is open in."""

    def __init__(self, lab: Lab, names: dict[str, Any]) -> None:
        self.lab = lab
        self._names = names

    def source(self) -> str:
        """Return the cells that define what the task asks for. Raises ValueError if one is missing."""
        sources = []
        for name in self.lab.task.defines:
            if name not in self._names:
                raise ValueError(f"there is no `{name}` yet: run the cell that defines it")
            sources.append(source_of(self._names[name])[0])
        return "\n\n".join(dict.fromkeys(sources))

    def check(self) -> Report:
        """Check the code as it was last run, and note the points as progress."""
        report = self._report()
        progress.note_lab(self.lab.name, report)
        return report

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
            source = self.source()
        except ValueError as error:
            return Report(self.lab.task.title, CELL, (), str(error))
        return self.lab.check(source, CELL, hidden)

    def button(self) -> Any:
        """Return a button that checks the code as it was last run."""
        import ipywidgets as widgets

        button = widgets.Button(description="Check my code", button_style="primary")
        said = widgets.HTML()

        def clicked(_: object) -> None:
            button.disabled = True
            said.value = "checking ..."
            try:
                said.value = self.check()._repr_html_()
            finally:
                button.disabled = False

        button.on_click(clicked)
        return widgets.VBox([button, said])


def open_lab(name: str, names: dict[str, Any] | None = None) -> OpenLab:
    """Return a lab for the notebook, or the script, that calls this. Raises ValueError for an unknown one."""
    if names is None:
        import __main__

        names = vars(__main__)
    return OpenLab(find_lab(name), names)

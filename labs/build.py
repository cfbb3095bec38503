"""`make labs`: the learners' copies, made from what the authors wrote in source/.

For each lab, source/notebook.md is the text, source/solution.py the solution between nbgrader's marks, and
source/checks.py says the points. From these come the starters in the lab's folder, a notebook and a module
with the solution cut out, and with `--nbgrader FOLDER` a course for nbgrader. Lines `# %%` cut a solution
into parts: each has a cell of its own in the notebook, at the text's cells `# solution`, in order.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions

from lbkit.course import Lab, all_labs

SOLUTION, GRADE, HIDDEN = "# solution", "lab.grade()", "lab.grade(hidden=True)"
STUB = "raise NotImplementedError  # your code here"  # in place of each part of the solution
CUT = re.compile(r"\n+# %%\n+")
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def source_notebook(lab: Lab) -> NotebookNode:
    """Return the authors' notebook: the solution in it, and nbgrader's metadata on its cells."""
    notebook = jupytext.read(lab.source / "notebook.md")
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    parts = CUT.split((lab.source / "solution.py").read_text().rstrip())
    places = [cell for cell in notebook.cells if cell.source == SOLUTION]
    if len(places) != len(parts):
        raise ValueError(f"{lab.name}: {len(parts)} parts of the solution, {len(places)} cells for them")
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{'text' if cell.cell_type == 'markdown' else 'code'}-{number}"
        cell.metadata = {}
        if cell.source == GRADE:
            cell.id = "checks"
            mark(cell, points=sum(check.points for check in lab.task.visible()))
        elif cell.source == HIDDEN:
            cell.id = "checks-of-the-instructor"
            mark(cell, points=sum(check.points for check in lab.task.checks.values() if check.hidden))
            cell.source = f"### BEGIN HIDDEN TESTS\n{HIDDEN}\n### END HIDDEN TESTS"
    for nth, (cell, part) in enumerate(zip(places, parts, strict=True), 1):
        cell.id = "solution" if nth == 1 else f"solution-{nth}"
        cell.source = part
        mark(cell, solution=True)
    return notebook


def mark(cell: NotebookNode, solution: bool = False, points: int = 0) -> None:
    """Tell nbgrader that a cell is to be filled in, or graded with so many points at most."""
    cell.metadata["nbgrader"] = {
        "schema_version": 3, "grade_id": cell.id, "cell_type": "code", "solution": solution,
        "grade": not solution, "locked": not solution, "task": False,
    } | ({} if solution else {"points": points})  # fmt: skip


def starter(notebook: NotebookNode) -> NotebookNode:
    """Return a learner's copy: without the solution, and without the instructor's checks."""
    cleared, _ = ClearSolutions(code_stub={"python": STUB})(nbformat.from_dict(notebook), {})
    cleared, _ = ClearHiddenTests()(cleared, {})
    cleared.cells = [cell for cell in cleared.cells if cell.id != "checks-of-the-instructor"]
    return cleared


def starters(lab: Lab) -> dict[str, str]:
    """Return the texts of a lab's starters by the names of their files."""
    notebook = starter(source_notebook(lab))
    code = [cell.source for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("solution")]
    return {
        f"{lab.task.module}.ipynb": nbformat.writes(notebook) + "\n",
        f"{lab.task.module}.py": "\n\n\n".join(code) + "\n",
    }


def course(folder: Path) -> None:
    """Write a course for nbgrader: `nbgrader generate_assignment 01-turns` makes its release from it."""
    for lab in all_labs():
        target = folder / "source" / lab.name
        target.mkdir(parents=True, exist_ok=True)
        nbformat.write(source_notebook(lab), target / f"{lab.task.module}.ipynb")
        (target / "hints.md").write_text((lab.folder / "hints.md").read_text())
    (folder / "nbgrader_config.py").write_text(
        'c = get_config()\nc.CourseDirectory.course_id = "lbkit"\nc.ExecutePreprocessor.timeout = 120\n'
        f"c.ClearSolutions.code_stub = {{'python': '{STUB}'}}\n"
    )


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nbgrader", type=Path, metavar="FOLDER", help="write a course for nbgrader there")
    wanted = parser.parse_args(arguments)
    if wanted.nbgrader:
        course(wanted.nbgrader)
        return
    for lab in all_labs():
        for name, text in starters(lab).items():
            (lab.folder / name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Every lab: right solutions of any shape get all points, and each typical mistake fails where it should."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lbkit.course import Lab, Report, all_labs
from lbkit.course.lab import code_of
from lbkit.course.mistakes import Mistake

LABS = {lab.name: lab for lab in all_labs()}
RIGHT = [
    (name, path) for name, lab in LABS.items() for path in (lab.source / "solution.py", *lab.right.values())
]
WRONG = [(name, mistake) for name, lab in LABS.items() for mistake in lab.mistakes.values()]

every_lab = pytest.mark.parametrize("lab", LABS.values(), ids=LABS)


def label(value: object) -> str:
    return value.stem if isinstance(value, Path) else value.name if isinstance(value, Mistake) else str(value)


def checked(name: str, code: str, hidden: bool = False) -> Report:
    return LABS[name].check(code, "mine.py", hidden)


def first_mistake(lab: Lab) -> str:
    return next(iter(lab.mistakes.values())).code


@pytest.mark.parametrize(("name", "path"), RIGHT, ids=label)
def test_a_right_solution_gets_all_points(name: str, path: Path) -> None:
    for hidden in (False, True):
        report = checked(name, path.read_text(), hidden)
        assert report.solved, report.text()


@pytest.mark.parametrize(("name", "mistake"), WRONG, ids=label)
def test_a_mistake_fails_its_own_checks_and_no_others(name: str, mistake: Mistake) -> None:
    report = checked(name, mistake.code)
    assert report.failed == sorted(mistake.fails, key=list(LABS[name].task.checks).index), report.text()
    for outcome in report.outcomes:
        if not outcome.passed:
            assert outcome.happened
            assert outcome.expected or "stopped" in outcome.happened or "raised" in outcome.happened


@every_lab
def test_a_lab_is_complete(lab: Lab) -> None:
    assert len(lab.right) >= 1
    assert len(lab.mistakes) >= 3
    readme = (lab.folder / "README.md").read_text()
    assert f"| **Time** | {lab.task.minutes} minutes |" in readme
    assert f"| **Difficulty** | {lab.task.difficulty} of 3 |" in readme
    hints = (lab.folder / "hints.md").read_text()
    assert hints.count("<details>") == hints.count("</details>") == 3
    assert any(check.hidden for check in lab.task.checks.values())


@every_lab
def test_no_code_cell_of_its_notebook_has_more_than_twenty_lines(lab: Lab) -> None:
    book = json.loads((lab.folder / f"{lab.task.module}.ipynb").read_text())
    code = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
    assert [source for source in code if len(source.splitlines()) > 20] == []


@every_lab
def test_the_starter_is_not_the_solution_and_says_so(lab: Lab) -> None:
    module = lab.folder / f"{lab.task.module}.py"
    assert code_of(module).strip() == code_of(module.with_suffix(".ipynb")).strip()
    assert "### " not in module.read_text()
    report = lab.check(code_of(module), module.name)
    assert report.points < report.of / 2
    said = [report.problem, *(outcome.happened for outcome in report.outcomes)]
    assert any("not written yet" in each for each in said), report.text()


def test_what_is_not_written_is_told_once() -> None:
    """Also where a check catches the errors of an algorithm, to tell more about them."""
    for name in ("01-turns", "04-a-ring", "11-breaker-and-shedding"):
        lab = LABS[name]
        module = lab.folder / f"{lab.task.module}.py"
        report = lab.check(code_of(module), module.name)
        assert report.problem.startswith("it is not written yet"), report.text()


def test_code_on_sockets_that_does_nothing_is_waited_for_twice() -> None:
    """Not in each of twenty checks: all but two need one of these."""
    checks = LABS["12-four-and-seven"].task.checks.values()
    first = [check.name for check in checks if not check.needs]
    assert first == ["a-relay-carries-both-ways", "a-request-and-its-answer"]
    assert {check.needs for check in checks if check.needs} == set(first)


@every_lab
def test_the_same_code_gets_the_same_report(lab: Lab) -> None:
    assert checked(lab.name, first_mistake(lab)).json() == checked(lab.name, first_mistake(lab)).json()


@every_lab
def test_a_report_is_data_for_machines(lab: Lab) -> None:
    data = json.loads(checked(lab.name, first_mistake(lab)).json())
    assert data["points"] == sum(check["got"] for check in data["checks"]) < data["of"]

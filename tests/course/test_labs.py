"""Every lab: right solutions of any shape get all points, and each typical mistake fails where it should."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lbkit.course import Lab, Report, all_labs
from lbkit.course.lab import code_of

LABS = {lab.name: lab for lab in all_labs()}
RIGHT = [
    (name, path)
    for name, lab in LABS.items()
    for path in (lab.source / "solution.py", *lab.files("right").values())
]
WRONG = [(name, path) for name, lab in LABS.items() for path in lab.files("wrong").values()]

every_lab = pytest.mark.parametrize("lab", LABS.values(), ids=LABS)


def label(value: object) -> str:
    return value.stem if isinstance(value, Path) else str(value)


def checked(name: str, path: Path, hidden: bool = False) -> Report:
    return LABS[name].check(path.read_text(), path.name, hidden)


@pytest.mark.parametrize(("name", "path"), RIGHT, ids=label)
def test_a_right_solution_gets_all_points(name: str, path: Path) -> None:
    for hidden in (False, True):
        report = checked(name, path, hidden)
        assert report.solved, report.text()


@pytest.mark.parametrize(("name", "path"), WRONG, ids=label)
def test_a_mistake_fails_its_own_checks_and_no_others(name: str, path: Path) -> None:
    named = re.match(r'"""fails: ([a-z0-9, -]+)\n', path.read_text())
    assert named, f"{path} begins with the checks that it fails"
    report = checked(name, path)
    assert report.failed == sorted(named[1].split(", "), key=list(LABS[name].task.checks).index), (
        report.text()
    )
    for outcome in report.outcomes:
        if not outcome.passed:
            assert outcome.happened
            assert outcome.expected or "stopped" in outcome.happened or "raised" in outcome.happened


@every_lab
def test_a_lab_is_complete(lab: Lab) -> None:
    assert len(lab.files("right")) >= 1
    assert len(lab.files("wrong")) >= 3
    readme = (lab.folder / "README.md").read_text()
    assert f"| **Time** | {lab.task.minutes} minutes |" in readme
    assert f"| **Difficulty** | {lab.task.difficulty} of 3 |" in readme
    hints = (lab.folder / "hints.md").read_text()
    assert hints.count("<details>") == hints.count("</details>") == 3
    assert any(check.hidden for check in lab.task.checks.values())


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


@every_lab
def test_the_same_code_gets_the_same_report(lab: Lab) -> None:
    path = next(iter(lab.files("wrong").values()))
    assert checked(lab.name, path).json() == checked(lab.name, path).json()


@every_lab
def test_a_report_is_data_for_machines(lab: Lab) -> None:
    path = next(iter(lab.files("wrong").values()))
    data = json.loads(checked(lab.name, path).json())
    assert data["points"] == sum(check["got"] for check in data["checks"]) < data["of"]

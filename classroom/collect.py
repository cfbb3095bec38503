"""Grade what a class has handed in: `python classroom/collect.py room`, which writes room/grades.csv.

The newest submission of each student and lab counts; it is checked as `lbkit check` does, and by the
instructor's own checks, too.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from lbkit.course import find_lab
from lbkit.course.lab import Lab, code_of


@dataclass(frozen=True, slots=True)
class Grade:
    """A row of the table: `points` of `out_of`, `hidden` of the instructor's own checks."""

    student: str
    lab: str
    points: int
    out_of: int
    hidden: int
    hidden_of: int
    submitted: str  # local time
    missing: str  # the properties that the code lacks, or why it could not be checked


def submissions(submitted: Path) -> Iterator[tuple[str, Lab, Path]]:
    """Yield student, lab and the newest file of each. Raises ValueError for a folder that is no lab's."""
    for folder in sorted(submitted.glob("*/*")):
        if files := sorted(path for path in folder.iterdir() if path.suffix in (".py", ".ipynb")):
            yield folder.parent.name, find_lab(folder.name), files[-1]


def grade(student: str, lab: Lab, file: Path) -> Grade:
    """Check a submission. One that is no code of the lab any more has no points."""
    try:
        code, why = code_of(file), ""
    except ValueError as error:
        code, why = "", str(error)
    visible, hidden = lab.check(code, file.name), lab.check(code, file.name, hidden=True)
    outcomes = (*visible.outcomes, *hidden.outcomes)
    missing = why or visible.problem or " ".join(outcome.name for outcome in outcomes if not outcome.passed)
    points = visible.points, visible.of, hidden.points, hidden.of
    return Grade(student, lab.name, *points, submitted=file.stem, missing=missing)


def collect(room: Path) -> list[Grade]:
    """Grade everything in a room, and write its table."""
    grades = [grade(*submission) for submission in submissions(room / "submitted")]
    with (room / "grades.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, Grade.__dataclass_fields__)
        writer.writeheader()
        writer.writerows(map(asdict, grades))
    return grades


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("room", type=Path, help="the folder of the class")
    room = parser.parse_args().room
    grades = collect(room)
    for row in grades:
        print(f"{row.student:16} {row.lab:28} {row.points:3} of {row.out_of}  {row.missing}")
    print(f"lbkit: {room / 'grades.csv'} has them all" if grades else f"lbkit: nobody has handed in: {room}")


if __name__ == "__main__":
    main()

"""Where a learner is in the course: what each notebook and lab has shown so far, and what is missing here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lbkit import table
from lbkit.course.contents import PROGRAMS, Chapter, chapters
from lbkit.course.lab import Lab
from lbkit.course.progress import progress_file, read_progress
from lbkit.material import find_course
from lbkit.needs import why_not

HEAD = ("notebook", "minutes", "claims shown", "labs", "not installed here")
TEXTS = ("notebook", "labs", "not installed here")


@dataclass(frozen=True)
class Overview:
    """A row for each notebook. Notebooks show it as a table."""

    rows: list[tuple[str, ...]]
    note: str

    def _repr_html_(self) -> str:
        return table.html(HEAD, self.rows, TEXTS, [self.note])

    def __str__(self) -> str:
        return "\n".join([*("  ".join(row) for row in (HEAD, *self.rows)), self.note])


def where_you_are() -> Overview:
    """Return what the file of progress says about each notebook and lab.

    Claims count as shown when their cells have run and the notebook was saved. Raises ValueError for a file
    that is not one of progress, OSError."""
    noted = read_progress()
    course = find_course()
    rows = [row(chapter, noted) for chapter in chapters(course / "notebooks" if course else ".")]
    return Overview(rows, f"From {progress_file()}, which is yours: nothing leaves this machine.")


def row(chapter: Chapter, noted: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    shown = sum(claim in noted["claims"] for claim in chapter.claims)
    return (
        f"{chapter.number} {chapter.topic}",
        str(chapter.minutes),
        f"{shown} of {len(chapter.claims)}" if chapter.claims else "",
        ", ".join(points(lab, noted["labs"]) for lab in chapter.labs),
        ", ".join(PROGRAMS[name] for name in chapter.programs if why_not(name)),
    )


def points(lab: Lab, noted: dict[str, Any]) -> str:
    """Return a lab's number, and what of its points a learner has."""
    best = noted.get(lab.name)
    return f"{lab.name[:2]}: {best['points']} of {best['of']}" if best else f"{lab.name[:2]}: -"

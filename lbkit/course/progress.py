"""A learner's progress: a file of their own, which they may read and delete. Nothing leaves the machine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import UnionType
from typing import Any

from lbkit.course.report import Report
from lbkit.material import CLONE, WORKBOOK, find_course, is_clone

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FILE = "progress.json"
SECTIONS = ("labs", "claims", "predictions", "board")
FIELDS: dict[str, dict[str, type | UnionType]] = {  # of entries, where others are read as they are
    "labs": {"points": int, "of": int},
    "predictions": {"guess": str | float | int},
    "board": {"shares": dict, "source": str},
}


def progress_file() -> Path:
    """Return the file: that of LBKIT_PROGRESS, in the workbook of a clone, or in the home folder."""
    if named := os.environ.get("LBKIT_PROGRESS"):
        return Path(named)
    return (CLONE / WORKBOOK if is_clone(CLONE) else Path.home() / ".lbkit") / FILE


def read_progress() -> dict[str, dict[str, Any]]:
    """Return what is noted: `labs`, `claims`, `predictions` and the `board`, each by name.

    Raises ValueError for a file that is not ours, OSError."""
    file = progress_file()
    try:
        noted = json.loads(file.read_text(encoding="utf-8"))
        sections = {section: dict(noted.get(section, {})) for section in SECTIONS}
        for section, fields in FIELDS.items():
            for entry in sections[section].values():
                if any(not isinstance(entry[field], kind) for field, kind in fields.items()):
                    raise TypeError
        return sections
    except FileNotFoundError:
        return {section: {} for section in SECTIONS}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{file} is not a file of progress any more: mend it, or delete it") from None


def _change(change: Callable[[dict[str, dict[str, Any]]], None]) -> None:
    file = progress_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    with _alone(file):
        noted = read_progress()
        change(noted)
        new = file.with_suffix(".new")
        try:
            new.write_text(json.dumps(noted, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            new.replace(file)  # at once: an interrupt leaves the old file or the new one
        finally:
            new.unlink(missing_ok=True)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Let one process at a time change the file, so that two checks at once are both noted.

    On Windows, which has no such lock, the later one wins."""
    with file.with_name(f".{file.stem}.lock").open("w") as lock:
        if fcntl:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def could_not_note(note: Callable[[], None]) -> str:
    """Note something; return "", or why it could not be noted: that must not hide a report."""
    try:
        note()
    except (OSError, ValueError) as error:
        return f"not noted in your progress: {error}"
    return ""


def note_lab(name: str, report: Report) -> None:
    """Note the points of a lab if they are the best so far. Raises ValueError, OSError."""

    def change(noted: dict[str, dict[str, Any]]) -> None:
        if report.points >= noted["labs"].get(name, {}).get("points", 0):
            noted["labs"][name] = {"points": report.points, "of": report.of, "on": date.today().isoformat()}

    if report.outcomes:
        _change(change)


def note_claims(claims: list[str], notebook: str) -> None:
    """Note claims that a cell of this notebook has shown. Raises ValueError, OSError."""
    if set(claims) - set(read_progress()["claims"]):
        _change(lambda noted: noted["claims"].update(dict.fromkeys(claims, notebook)))


CLAIM = "claim-"  # begins the tag of a cell that shows a claim


def claims_of(cell: Mapping[str, Any]) -> list[str]:
    """Return the claims that a cell of a notebook shows, such as S1."""
    tags = cell.get("metadata", {}).get("tags", ())
    return [tag.removeprefix(CLAIM) for tag in tags if tag.startswith(CLAIM)]


def claims_that_ran(cells: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the claims of cells that have run, and ended without an error."""
    found: list[str] = []
    for cell in cells:
        failed = any(output.get("output_type") == "error" for output in cell.get("outputs", ()))
        if cell.get("execution_count") and not failed:
            found += claims_of(cell)
    return found


def all_claims() -> dict[str, list[str]]:
    """Return the claims of each notebook, by its name, in the order in which it shows them."""
    found: dict[str, list[str]] = {}
    course = find_course()
    for path in sorted((course / "notebooks").glob("*.ipynb")) if course else ():
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        if claims := list(dict.fromkeys(claim for cell in cells for claim in claims_of(cell))):
            found[path.name] = claims
    return found


def note_prediction(name: str, guess: str | float) -> None:
    """Note the first guess at a question; later ones do not count. Raises ValueError, OSError."""
    _change(lambda noted: noted["predictions"].setdefault(name, {"guess": guess}))


def note_outcome(name: str, right: bool) -> None:
    """Note whether the guess was right, when that is known the first time. Raises ValueError, OSError."""
    if "right" not in read_progress()["predictions"].get(name, {"right": None}):
        _change(lambda noted: noted["predictions"][name].update(right=right))


def note_score(name: str, entry: Mapping[str, Any]) -> None:
    """Note an algorithm on the board, in place of an earlier one of this name. Raises ValueError, OSError."""
    _change(lambda noted: noted["board"].update({name: dict(entry)}))

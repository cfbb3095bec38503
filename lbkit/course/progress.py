"""A learner's progress: a file of their own, which they may read and delete. Nothing leaves the machine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from lbkit.course.report import Report
from lbkit.needs import CLONE

FILE = "progress.json"
SECTIONS = ("labs", "claims", "predictions")


def progress_file() -> Path:
    """Return the file: that of LBKIT_PROGRESS, in the workbook of a clone, or in the home folder."""
    if named := os.environ.get("LBKIT_PROGRESS"):
        return Path(named)
    return (CLONE / "workbook" if (CLONE / "pyproject.toml").is_file() else Path.home() / ".lbkit") / FILE


def read_progress() -> dict[str, dict[str, Any]]:
    """Return what is noted: `labs`, `claims` and `predictions`, each by name.

    Raises ValueError for a file that is not ours, OSError."""
    file = progress_file()
    try:
        noted = json.loads(file.read_text(encoding="utf-8"))
        return {section: dict(noted.get(section, {})) for section in SECTIONS}
    except FileNotFoundError:
        return {section: {} for section in SECTIONS}
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f"{file} is not a file of progress any more: mend it, or delete it") from None


def _change(change: Callable[[dict[str, dict[str, Any]]], None]) -> None:
    noted = read_progress()
    change(noted)
    file = progress_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(f".{os.getpid()}.new")
    new.write_text(json.dumps(noted, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    new.replace(file)  # at once: an interrupt leaves the old file or the new one


def note_lab(name: str, report: Report) -> None:
    """Note the points of a lab if they are the best so far. Raises ValueError, OSError."""

    def change(noted: dict[str, dict[str, Any]]) -> None:
        if report.points >= noted["labs"].get(name, {}).get("points", 0):
            noted["labs"][name] = {"points": report.points, "of": report.of, "on": date.today().isoformat()}

    if report.outcomes:
        _change(change)


def note_claims(tags: list[str], notebook: str) -> None:
    """Note claims of which a cell ran without an error. Raises ValueError, OSError."""
    _change(lambda noted: noted["claims"].update(dict.fromkeys(tags, notebook)))


def note_prediction(name: str, guess: str, right: bool) -> None:
    """Note the first guess at a question; later ones do not count. Raises ValueError, OSError."""
    _change(lambda noted: noted["predictions"].setdefault(name, {"guess": guess, "right": right}))

"""Where the course is: its notebooks and labs, and a learner's own copies of them.

In a clone of the project they are beside the package. A wheel carries them inside the package, where
native/hook.py puts them; then the workbook is in the folder from which the learner starts.
"""

from __future__ import annotations

import os
from pathlib import Path

CLONE = Path(__file__).resolve().parents[1]  # where the sources are, if lbkit runs from them
PACKED = Path(__file__).resolve().with_name("material")
WORKBOOK = "workbook"
ORIGINALS = ".originals"  # in the workbook: each file as it was copied, to tell a learner's changes from ours


def is_clone(folder: Path) -> bool:
    """Return whether a folder has the notebooks and the package."""
    return any((folder / "notebooks").glob("*.ipynb")) and (folder / "lbkit").is_dir()


def find_course() -> Path | None:
    """Return the folder with notebooks/ and labs/: of the clone that lbkit runs from, or of the wheel."""
    if is_clone(CLONE):
        return CLONE
    return PACKED if PACKED.is_dir() else None


def home() -> Path:
    """Return the folder that has the workbook, or gets it.

    That is LBKIT_HOME, where many share an installation, or the clone; else the nearest folder, from the
    current one upwards, that has a workbook, or the current folder."""
    if named := os.environ.get("LBKIT_HOME"):
        return Path(named)
    if is_clone(CLONE):
        return CLONE
    here = Path.cwd()
    return next((f for f in (here, *here.parents) if (f / WORKBOOK / ORIGINALS).is_dir()), here)

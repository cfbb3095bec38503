"""What happens when JupyterLab saves a notebook: it gets smaller, and the claims that ran in it are noted."""

from __future__ import annotations

from contextlib import suppress
from pathlib import PurePath
from typing import Any

from lbkit.course import progress
from lbkit.course.progress import claims_that_ran

FIGURE = "application/vnd.plotly.v1+json"


def saving(model: dict[str, Any], path: str = "", **_: Any) -> None:
    """Do it; a hook of JupyterLab (`ContentsManager.pre_save_hook`)."""
    if model.get("type") != "notebook" or not model.get("content"):
        return
    cells = model["content"]["cells"]
    without_pictures(cells)
    if claims := claims_that_ran(cells):
        # A file of progress that cannot be written must not keep a notebook from being saved.
        with suppress(OSError, ValueError):
            progress.note_claims(claims, PurePath(path).name)


def without_pictures(cells: list[dict[str, Any]]) -> None:
    """Remove the pictures of 50 kB beside figures: a reopened notebook draws them from the data."""
    for cell in cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if FIGURE in data:
                data.pop("image/png", None)

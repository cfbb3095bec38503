"""What JupyterLab saves: figures as data, without the pictures of 50 kB that it adds to them."""

from __future__ import annotations

from typing import Any

FIGURE = "application/vnd.plotly.v1+json"


def without_pictures(model: dict[str, Any], **_: Any) -> None:
    """Remove the pictures beside figures from a notebook that is about to be saved.

    A hook of JupyterLab (`ContentsManager.pre_save_hook`). A reopened notebook draws figures from the data,
    which has a tenth of the size."""
    if model.get("type") != "notebook" or not model.get("content"):
        return
    for cell in model["content"]["cells"]:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if FIGURE in data:
                data.pop("image/png", None)

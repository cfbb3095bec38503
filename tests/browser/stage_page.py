"""A page with a stage that tests open: no kernel, no JupyterLab."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lbkit.viz.theatre.page import page as saved

# Puts another spec on the stage.
SHOW = """text => {
  const { theatre } = document.getElementById("theatre");
  theatre.model.get = () => text;
  theatre.renew();
}"""


def opened(page: Any, folder: Path, films: Sequence[dict[str, Any]]) -> Any:
    """Return the page with these films; `problems` has what goes wrong on it."""
    path = folder / "x.html"
    path.write_text(saved(films), encoding="utf-8")
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(f"file://{path}")
    return page

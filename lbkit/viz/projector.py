"""Projector mode: figures, panels and the stage large enough for the last row of a room."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

from lbkit.viz.theatre.script import STAGE

HERE = Path(__file__).parent


class Projector(anywidget.AnyWidget):
    """A switch: while it is on, all that lbkit shows on the page is larger, with code and text around it."""

    _esm = "\n".join(
        path.read_text(encoding="utf-8") for path in (STAGE / "projecting.js", HERE / "projector.js")
    )
    _css = HERE / "projector.css"
    on = traitlets.Bool(None, allow_none=True).tag(sync=True)  # None: as the page is


def projector(on: bool = True) -> Projector:
    """Return the switch, turned on: as the last line of a cell it enlarges what is on the page already, and
    what comes. `projector(False)` undoes it, as does a click on it, or reloading the page."""
    return Projector(on=on)

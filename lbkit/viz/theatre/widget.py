"""The theatre in a notebook: films that one can play, step through, and take a hand in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from lbkit.core import algorithms
from lbkit.core.text import shown
from lbkit.result import Result
from lbkit.viz.theatre.film import Film, film
from lbkit.viz.theatre.page import page
from lbkit.viz.theatre.script import script, spec, style
from lbkit.viz.widget import Photographed


class Theatre(Photographed, anywidget.AnyWidget):
    """A stage for a film, or two side by side on one clock.

    `Theatre(run(experiment, record=True))` shows a result; `Theatre(director=Director(experiment))` one in
    which the viewer can kill servers, send requests, change the policy, and so on."""

    _esm = script()
    _css = style()
    spec = traitlets.Unicode("{}").tag(sync=True)
    number = traitlets.Int(0).tag(sync=True)  # of the films shown

    def __init__(self, *films: Any, director: Any = None, **layout: Any) -> None:
        """`films`: one or two results or films; none where directors have them.

        A `director`, or one for each film, has `film`, and `act` and `undo` that return the next one."""
        super().__init__(layout=layout)
        self.directors = [] if director is None else list(_listed(director))
        shots = films or tuple(one.film for one in self.directors)
        if not 1 <= len(shots) <= 2:
            raise ValueError(f"films are {len(shots)}: a theatre shows one, or two side by side")
        self.films = [filmed(shot) for shot in shots]
        self._show()

    def save(self, path: str | Path) -> Path:
        """Write a page that plays the films without Python: one file of HTML. Returns its path."""
        written = Path(path)
        written.write_text(page([film.to_dict() for film in self.films]), encoding="utf-8")
        return written

    def show(self, *films: Any) -> None:
        """Play other films, from the same moment on."""
        self.films = [filmed(shot) for shot in films]
        self._show()

    def _show(self) -> None:
        hands = {"policies": sorted(algorithms())} if self.directors else None
        said = json.dumps(spec([film.to_dict() for film in self.films], hands), allow_nan=False)
        with self.hold_sync():
            self.spec = said
            self.number += 1

    def _received(self, widget: object, message: dict[str, Any], buffers: object) -> None:
        if "do" in message:
            self._do(**message)
        else:
            super()._received(widget, message, buffers)

    def _do(self, do: str, at: float, stage: int = 0, **how: Any) -> None:
        """Do what the viewer did, and show what comes of it, or why it cannot be."""
        director = self.directors[min(stage, len(self.directors) - 1)]
        try:
            self.films[stage] = director.undo() if do == "undo" else director.act(do, at, **how)
        except Exception as error:  # of a learner's algorithm, too: a callback's traceback is lost
            self.send({"fault": str(error)})
        else:
            self._show()


def filmed(shot: Any) -> Film:
    """Return the film of a result; a film as it is."""
    if isinstance(shot, Film):
        return shot
    if isinstance(shot, Result):
        return film(shot)
    raise ValueError(f"a film is {shown(shot)}: use a Result, as from run(experiment), or a Film")


def _listed(director: Any) -> Any:
    return director if isinstance(director, list | tuple) else (director,)

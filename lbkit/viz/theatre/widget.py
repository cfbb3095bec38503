"""The theatre in a notebook: films to play, to step through, and to interfere with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from lbkit.core import algorithms
from lbkit.core.text import shown
from lbkit.experiment import Experiment
from lbkit.result import Result
from lbkit.viz.theatre.camera import record
from lbkit.viz.theatre.director import Director
from lbkit.viz.theatre.film import Film, film
from lbkit.viz.theatre.live import LiveShow
from lbkit.viz.theatre.live_film import closing, live_spec, result_of
from lbkit.viz.theatre.page import page
from lbkit.viz.theatre.script import script, spec, style
from lbkit.viz.theatre.session import Session, is_session
from lbkit.viz.widget import Photographed


class Theatre(Photographed, anywidget.AnyWidget):
    """A stage for a run, or for two side by side on one clock.

    `Theatre(experiment)` simulates it, and the viewer can kill servers, send requests, change the policy, and
    so on. `Theatre(run(experiment, record=True))` shows a result as it is, of any engine. `Theatre(session)`
    follows a LiveSession that runs, and what is done is done to the real processes; when it is over, the
    theatre has the film of its result."""

    _esm = script()
    _css = style()
    spec = traitlets.Unicode("{}").tag(sync=True)
    number = traitlets.Int(0).tag(sync=True)  # of the films shown

    def __init__(self, *shows: Any, **layout: Any) -> None:
        """`shows`: one or two experiments or directors, results or films; or a session that runs.

        Raises ValueError for others, or more."""
        self.live: LiveShow | None = None
        super().__init__(layout=layout)
        self.show(*shows)

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write a page that plays the films without Python, one file of HTML. With a name that ends with
        .gif, .webp or .webm it is a recording, with the options of `lbkit.viz.theatre.camera.record`.

        Returns its path. Raises ValueError for another name or option, RuntimeError without Chromium."""
        if not isinstance(path, str | Path):
            raise ValueError(f"path is {shown(path)}: use the name of a file")
        played = [closing(self.live.session.result())] if self.live else self.films
        written, films = Path(path), [film.to_dict() for film in played]
        if written.suffix != ".html":
            return record(films, written, **options)
        if options:
            raise ValueError(f"{', '.join(options)}: a page has no options; recordings, as .gif, have")
        written.write_text(page(films), encoding="utf-8")
        return written

    def show(self, *shows: Any, again: bool = False) -> None:
        """Show others, from the same moment on or, `again`, played from the beginning. Raises ValueError."""
        if not 1 <= len(shows) <= 2:
            raise ValueError(f"shows are {len(shows)}: a theatre has one, or two side by side")
        sessions = [show for show in shows if is_session(show)]
        if sessions and len(shows) > 1:
            raise ValueError("shows are two: a running session has a theatre of its own")
        if self.live:
            self.live.close()
            self.live = None
        if sessions:
            self._follow(*sessions)
            return
        directors = [directed(show) for show in shows]
        self.films = [d.film if d else filmed(show) for d, show in zip(directors, shows, strict=True)]
        self.directors = directors
        self._shown = shows
        self._show(again)

    @property
    def results(self) -> list[Result]:
        """The results on the stage, with what the viewer did; films that are shown as such have none."""
        pairs = zip(self.directors, self._shown, strict=True)
        found = [director.result if director else show for director, show in pairs]
        return [result for result in found if isinstance(result, Result)]

    def _follow(self, session: Session) -> None:
        """Follow a session until it is over."""
        if session.done:
            self.show(closing(session.result()))
            return
        self.live = live = LiveShow(session, self.send, self._over)
        self.films, self.directors, self._shown = [live.film], [None], (live.film,)
        self._tell(live_spec(session, live.film))
        live.start()

    def _over(self) -> None:
        """Show the film of the session; called in the thread that has followed it."""
        live, self.live = self.live, None
        if live:
            result = result_of(live.session)
            self.show(closing(result))
            self._shown = (result,)

    def close(self) -> None:
        if self.live:
            self.live.close()
        super().close()

    def _show(self, again: bool = False) -> None:
        hands = {"policies": sorted(algorithms())} if all(self.directors) else None
        self._tell(spec([film.to_dict() for film in self.films], hands) | {"again": again})

    def _tell(self, spec: dict[str, Any]) -> None:
        said = json.dumps(spec, allow_nan=False)
        with self.hold_sync():
            self.spec = said
            self.number += 1

    def _received(self, widget: object, message: Any, buffers: object) -> None:
        if not isinstance(message, dict) or "do" not in message:
            super()._received(widget, message, buffers)
            return
        try:
            self._do(dict(message))
        except Exception as error:  # of a learner's algorithm, too: a callback's traceback is lost
            self.send({"fault": str(error)})

    def _do(self, message: dict[str, Any]) -> None:
        """Do what the viewer did, and show what comes of it. Raises ValueError for what cannot be."""
        what, at, stage = message.pop("do"), message.pop("at", None), message.pop("stage", 0)
        if self.live:
            if self.live.session.done:  # another theatre has its film
                raise ValueError("the session is over: nothing can be done to it")
            self.live.hands.act(what, **message)
            return
        if stage not in range(len(self.directors)):
            raise ValueError(f"stage is {shown(stage)}: the number of stages is {len(self.directors)}")
        director = self.directors[stage]
        if director is None:  # a click that came after the end of a session
            raise ValueError("this has happened already: nothing can be done to it")
        self.films[stage] = director.undo() if what == "undo" else director.act(what, at, **message)
        self._show()


def filmed(shot: Any) -> Film:
    """Return the film of a result; a film as it is."""
    if isinstance(shot, Film):
        return shot
    if isinstance(shot, Result):
        return film(shot)
    raise ValueError(f"a show is {shown(shot)}: use an Experiment, a Result or a Film")


def directed(show: Any) -> Director | None:
    """Return the director of an experiment; None for what has happened already."""
    return Director(show) if isinstance(show, Experiment) else show if isinstance(show, Director) else None

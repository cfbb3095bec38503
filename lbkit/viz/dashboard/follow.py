"""Follows a running session: it is asked for its metrics a few times a second, in a thread of its own.

The thread also runs while a cell of the notebook is busy. It ends with the session, which waits for it, and
when it is closed. What is kept is bounded: the scrapes of the longest
window, and the frames that are on the screen.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any, Protocol

from lbkit.alerts import Rule
from lbkit.metrics import Panel
from lbkit.metrics.rolling import Rolling
from lbkit.metrics.store import Scrape
from lbkit.run import EngineError
from lbkit.viz.dashboard.frames import Frame, Recorder
from lbkit.viz.dashboard.lamps import Lamps, Note
from lbkit.viz.running import RunningSession

EVALUATE = 1.0  # seconds between evaluations of the rules, at least
MOST_SCRAPES = 600  # that are kept for the rules, however long their windows are
MOST_NOTES = 100
UNANSWERED = 25  # scrapes in a row that may fail before it gives up: a reload takes a moment


class Session(RunningSession, Protocol):
    """What it needs of a running session: parts of lbkit.live.LiveSession."""

    @property
    def untold(self) -> str: ...
    def metrics(self, clients: bool = False) -> Scrape: ...


class Follower:
    """Sends frames of a session with `send`, until it is over or `close` is called; then it calls `over` with
    a word about why."""

    def __init__(
        self,
        session: Session,
        panels: Sequence[Panel],
        rules: Sequence[Rule],
        every: float,
        window: float,
        smooth: float,
        clients: bool,
        send: Callable[[dict[str, Any]], object],
        over: Callable[[str], object],
    ) -> None:
        """`every`: seconds between frames; `window`: those that are shown; `smooth`: those over which rates
        are taken; `clients`: what these see is shown, and not what the proxy counts."""
        self.session = session
        self.every, self.window = every, window
        self.recorder = Recorder(session.experiment, panels)
        self.lamps = Lamps(rules)
        self.frames: deque[Frame] = deque(maxlen=ceil(window / every) + 1)
        self.notes: deque[Note] = deque(maxlen=MOST_NOTES)
        self.clients = clients
        self._evaluate = max(EVALUATE, every, self.lamps.window / MOST_SCRAPES)
        self._recent = Rolling(2 * smooth)
        self._long = Rolling(self.lamps.window + 2 * self._evaluate)
        self._send, self._over = send, over
        self._deeds = 0  # of the history, that are notes
        self._silent = 0  # scrapes in a row without an answer
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="lbkit-dashboard", daemon=True)

    def start(self) -> None:
        self.session.watchers.append(self.join)  # a session that has stopped leaves no thread behind
        self._thread.start()

    def close(self) -> None:
        """Follow it no longer. Safe to repeat."""
        self._closed.set()
        self.join()

    def join(self) -> None:
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(10)

    def _follow(self) -> None:
        why = "closed"
        try:
            while not self._closed.wait(self._until_next()):
                if not self.session.running:
                    why = "the run is over"
                    break
                if self.session.elapsed > 0:
                    self._send(self.news(self.session.elapsed))
        except Exception as error:  # else the thread would end without a word
            why = f"stopped: {error}"
        self._over(why)

    def _until_next(self) -> float:
        """Return the seconds until the next frame is due, at whole multiples of `every`."""
        return self.every - self.session.elapsed % self.every

    def news(self, at: float) -> dict[str, Any]:
        """Return what is new at a moment: a frame, and notes if there are any."""
        notes = self._scrape(at)
        history = self.session.history
        notes += (Note(change.at, change.what) for change in history[self._deeds :])
        self._deeds += len(history) - self._deeds
        self.recorder.happened(self.session.changes, history)
        frame = self.recorder.frame(self._recent, at, self.lamps.states)
        self.frames.append(frame)
        self.notes += notes
        return {"more": [frame]} | ({"notes": notes} if notes else {})

    def _scrape(self, at: float) -> list[Note]:
        """Ask the session; return what began or ended to fire. Raises EngineError or OSError when it has not
        answered for too long."""
        try:
            values = self.session.metrics(self.clients)
            self._silent = 0
        except (OSError, EngineError):
            self._silent += 1
            if self._silent > UNANSWERED:
                raise
            return []
        self._recent.scrape(at, values)
        if self._long.times and at < self._long.times[-1] + self._evaluate - self.every / 2:
            return []
        self._long.scrape(at, values)
        return self.lamps.step(self._long, at)

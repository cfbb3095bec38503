"""A running session on the stage: its news go to the page about twelve times a second.

No requests are kept here: the page keeps the last ones, and the session has the rows for the film at the end.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from lbkit.outcomes import OUTCOMES
from lbkit.recorded import KINDS, Sighting
from lbkit.viz.theatre.film import state_of
from lbkit.viz.theatre.happenings import Happening, happenings
from lbkit.viz.theatre.lanes import MOST_LANED, Lanes
from lbkit.viz.theatre.live_film import DELAY, KEPT, opening
from lbkit.viz.theatre.live_hands import Hands
from lbkit.viz.theatre.plain import seconds
from lbkit.viz.theatre.session import Send, Session

PERIOD = 0.08  # seconds between two messages
MOST_STATES = 200
WHOLE = 25  # messages between two that have all states, for a page that was opened later
UNKNOWN_START = (
    "when a server began with a request is known from its answer: until then the request is shown as waiting"
)


class LiveShow:
    """Follows a session, in a thread, until it is over. `film` is the empty film that the stage begins with;
    `hands` does to the session what the viewer orders."""

    def __init__(self, session: Session, send: Send, over: Callable[[], object]) -> None:
        """`send` is called with each message for the stage; `over`, at the end, when a Result is there.

        Raises ValueError for a session that does not run."""
        if not session.running:
            raise ValueError(
                "session does not run: start it, as `with LiveSession(experiment) as session:` does"
            )
        self.session = session
        self.lanes = Lanes(range(min(session.experiment.traffic.clients, MOST_LANED)))
        self.film = opening(session, self.lanes)
        self.hands = Hands(session, self.lanes, send)
        self._send, self._over = send, over
        self._watcher = session.watch()
        self._told: tuple[Any, ...] = ()  # the notes that the page has, and what its states are made from
        self._ticks = 0
        self._planned = [h.at for h in happenings(session.experiment, ())]
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="lbkit-theatre", daemon=True)

    def start(self) -> None:
        self.session.watchers.append(self.join)  # a session that has stopped leaves no thread of ours behind
        self._thread.start()

    def close(self) -> None:
        """Follow it no longer. Safe to repeat."""
        self._closed.set()
        self._watcher.close()
        self.join()

    def join(self) -> None:
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(10)

    def _follow(self) -> None:
        try:
            while self.session.running and not self._watcher.closed:
                self._send({"more": self.news()})
                if self._closed.wait(PERIOD):
                    return
        except Exception as error:  # else the thread would end without a word
            self._send({"fault": f"the stage stopped: {error}"})
        if self._watcher.closed:
            self._send({"fault": "another theatre shows this session now"})
            return
        self._watcher.close()
        self._over()

    # -- what the page gets ---------------------------------------------------------------------

    def news(self) -> dict[str, Any]:
        """Return what is new, as plain data; states and notes when they have changed, and now and then."""
        now = self.session.elapsed
        requests = [self._row(sighting) for sighting in self._watcher.news(now)]
        more: dict[str, Any] = {"now": seconds(now), "requests": requests}
        told = (self.notes(), self._happened(now))
        if told != self._told or self._ticks % WHOLE == 0:
            self._told = told
            more |= {"notes": told[0], "states": self.states(now)}
        self._ticks += 1
        return more

    def _happened(self, now: float) -> tuple[int, ...]:
        """Return how much has happened to servers: cheaper than what."""
        session = self.session
        planned = bisect_right(self._planned, now)
        return planned, len(session.changes), len(session.history), self.hands.noted

    def states(self, now: float) -> list[dict[str, Any]]:
        """Return what has happened to servers: the latest, and of the time before what lasts."""
        session = self.session
        happened = happenings(session.experiment, session.changes, list(session.history))
        happened = sorted([*happened, *self.hands.boots], key=lambda h: h.at)
        number_of = {server.name: i for i, server in enumerate(session.experiment.leaves)}
        return [state_of(h, number_of.get(h.server)) for h in recent(happened, now)]

    def notes(self) -> list[str]:
        watcher = self._watcher
        notes = [
            f"live: {DELAY:g} s behind; the last {KEPT:,} requests are kept, for pauses",
            *watcher.notes,
            UNKNOWN_START,
        ]
        if watcher.share < 1.0:
            rate = float(f"{watcher.rate:.2g}")
            share = f"{watcher.share:.0%} of {rate:g} requests a second, drawn by chance, each whole"
            notes.insert(1, f"shown: {share}; so queues are longer than they look")
        return notes

    def _row(self, sighting: Sighting) -> list[Any]:
        return [
            sighting.number,
            seconds(sighting.sent),
            seconds(sighting.answered),
            self.lanes.of(sighting.client),
            round(sighting.size, 3),
            sighting.status,
            OUTCOMES.index(sighting.outcome),
            [
                [
                    attempt.server,
                    seconds(attempt.at),
                    seconds(attempt.start),
                    seconds(attempt.end),
                    KINDS.index(attempt.kind),
                    OUTCOMES.index(attempt.outcome),
                ]
                for attempt in sighting.attempts
                if attempt.server >= 0
            ],
        ]


def recent(happened: Sequence[Happening], now: float, most: int = MOST_STATES) -> list[Happening]:
    """Return the last of what has happened until `now`; of the time before, what lasts."""
    past = [happening for happening in happened if happening.at <= now]
    lasting = {(happening.server, happening.kind): happening for happening in past[:-most]}
    return [*lasting.values(), *past[-most:]]

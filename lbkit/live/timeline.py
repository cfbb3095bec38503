"""The events of an experiment, carried out on live processes, each at its time."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from lbkit.experiment import Action, Event

OF_PROCESSES = (
    *(Action.CRASH, Action.RECOVER, Action.SLOW),
    *(Action.HANG, Action.LOSE, Action.FAIL, Action.DELAY),
)


class Timeline:
    """Carries out events in threads: one for the pool, one for each server with a process that changes.

    So a start that takes a second delays only what follows for that server."""

    def __init__(
        self, events: Iterable[Event], carry_out: Callable[[Event], object], stopping: threading.Event
    ) -> None:
        """`carry_out` may raise; the run goes on, and `faults` has a line. `stopping` ends all threads."""
        self.carry_out = carry_out
        self.stopping = stopping
        self.faults: list[str] = []
        by_thread: defaultdict[str, list[Event]] = defaultdict(list)
        for event in events:
            by_thread[event.server if event.action in OF_PROCESSES else ""].append(event)
        self._by_thread = by_thread
        self._threads: list[threading.Thread] = []

    def start(self, t0: float) -> None:
        """`t0`: moment 0, on the clock of time.monotonic."""
        for events in self._by_thread.values():
            thread = threading.Thread(target=self._run, args=(events, t0), name="lbkit-events", daemon=True)
            thread.start()
            self._threads.append(thread)

    def join(self) -> None:
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _run(self, events: list[Event], t0: float) -> None:
        for event in events:
            if self.stopping.wait(max(0.0, t0 + event.at - time.monotonic())):
                return
            try:
                self.carry_out(event)
            except Exception as error:  # a fault of the result; the run goes on
                self.faults.append(
                    f"{event.action.value} {event.server or event.algorithm} at {event.at:g} s: {error}"
                )


def without_failed_boots(events: Sequence[Event], boot: Mapping[str, float]) -> list[Event]:
    """Return the events, in order of time, without recoveries that a crash ends before the server has booted.

    `boot`: seconds, by server."""

    def crashes(server: str, later: Sequence[Event], before: float) -> bool:
        return any(e.action is Action.CRASH and e.server == server and e.at < before for e in later)

    return [
        event
        for i, event in enumerate(events)
        if event.action is not Action.RECOVER
        or not crashes(event.server, events[i + 1 :], event.at + boot[event.server])
    ]

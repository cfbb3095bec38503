"""The frames of a run that is over, of any engine: from its rows, as a Prometheus would have scraped them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from lbkit.alerts import Rule
from lbkit.events import Event
from lbkit.history import Change
from lbkit.metrics import Panel, metrics_of
from lbkit.result import Result
from lbkit.viz.dashboard.frames import Frame, Recorder
from lbkit.viz.dashboard.lamps import Lamps, Note, windows

MOST_FRAMES = 600
MOST_EVALUATIONS = 3000
SEEN = 4  # scrapes in the shortest window of a rule


class Reel(NamedTuple):
    """All frames, the notes that belong to them, and the names that the frames' numbers have."""

    frames: list[Frame]
    notes: list[Note]
    lines: list[list[str]]
    rows: list[str]


def interval(result: Result, every: float) -> float:
    """Return the seconds between two frames of a run: `every`, or more, so that they are not too many."""
    return max(every, result.experiment.traffic.duration / MOST_FRAMES)


def reel(result: Result, panels: Sequence[Panel], rules: Sequence[Rule], every: float) -> Reel:
    """Return the reel of a run with a frame each `every` seconds."""
    store = metrics_of(result, every)
    lamps = Lamps(rules)
    end = store.times[-1]
    shortest = min((seconds for rule in rules for seconds in windows(rule)), default=every * SEEN)
    finest = max(min(every, shortest / SEEN), end / MOST_EVALUATIONS)
    evaluated = metrics_of(result, finest) if rules else store
    recorder = Recorder(result.experiment, panels)
    deeds = deeds_of(result)
    changes = sorted(result.changes, key=lambda change: change.at)
    notes = [Note(deed.at, words(deed)) for deed in deeds]
    frames: list[Frame] = []
    moments = iter([*evaluated.times])
    ahead = next(moments, None)
    for at in store.times:
        while rules and ahead is not None and ahead <= at + 1e-9:
            notes += lamps.step(evaluated, ahead)
            ahead = next(moments, None)
        recorder.happened(
            changes[: bisect_right(changes, at, key=lambda change: change.at)],
            deeds[: bisect_right(deeds, at, key=lambda deed: deed.at)],
        )
        frames.append(recorder.frame(store, at, lamps.states))
    return Reel(frames, sorted(notes), recorder.lines, recorder.rows)


def deeds_of(result: Result) -> list[Event | Change]:
    """Return what was done to the servers, in order of time: a session's history, else the events."""
    history: list[Event | Change] = [*result.extra.get("history", ())]
    return history or sorted(result.experiment.timeline, key=lambda event: event.at)


def words(deed: Event | Change) -> str:
    """Return a deed in a few words."""
    if isinstance(deed, Change):
        return deed.what
    return Change(deed.at, deed.action, deed.server, deed.value, deed.dependency, deed.algorithm).what

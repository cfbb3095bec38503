"""The part of a run that a film shows: from when to when, and the rows of its requests."""

from __future__ import annotations

from dataclasses import dataclass

from lbkit.result import Result


@dataclass(frozen=True, slots=True)
class Window:
    start: float
    end: float
    rows: list[int]  # in order of arrival
    notes: list[str]  # what is left out


def window(result: Result, start: float, duration: float | None, most: int) -> Window:
    """Return the window from `start` on: all that is left of the run, or `duration` seconds of it; shorter
    where there are more than `most` requests in it. Requests under way at its start are part of it."""
    over = max(result.experiment.traffic.duration, max(result.end, default=0.0))
    if start >= over:
        raise ValueError(f"start is {start:g} s: the run was over at {over:g} s, so use less")
    end = over if duration is None else min(start + duration, over)
    rows = sorted(
        (row for row in range(len(result)) if result.arrival[row] < end and result.end[row] >= start),
        key=lambda row: (result.arrival[row], row),
    )
    notes = []
    if len(rows) > most:
        end = max(start, result.arrival[rows[most]])
        rows = rows[:most]
    if start > 0 or end < over:
        notes.append(
            f"shown: {start:.3g} s to {end:.3g} s of {over:.3g} s, {len(rows)} of {len(result)} requests"
        )
    return Window(start, end, rows, notes)

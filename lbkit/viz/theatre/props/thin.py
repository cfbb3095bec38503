"""Fewer points and events than there are: what a figure of some hundred pixels can show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from lbkit.viz.theatre.window import Window

T = TypeVar("T")
MOST = 2_000  # changes of a prop


def thinned(
    points: Sequence[T], most: int, time: Callable[[T], float], value: Callable[[T], float]
) -> list[T]:
    """Return at most `most` points of a line: of each part of the time the first and last one, the lowest and
    the highest, so that no peak is lost."""
    if len(points) <= most:
        return list(points)
    parts = max(1, most // 4)
    start, end = time(points[0]), time(points[-1])
    width = (end - start) / parts or 1.0
    chosen: dict[int, list[int]] = {}  # part -> numbers of its first, last, lowest and highest point
    for number, point in enumerate(points):
        part = min(parts - 1, int((time(point) - start) / width))
        first, _, low, high = chosen.setdefault(part, [number] * 4)
        if value(point) < value(points[low]):
            low = number
        if value(point) > value(points[high]):
            high = number
        chosen[part] = [first, number, low, high]
    return [points[number] for number in sorted({number for four in chosen.values() for number in four})]


def every(events: Sequence[T], most: int) -> list[T]:
    """Return at most `most` events: all, or every second, every third..."""
    step = -(-len(events) // most) or 1
    return list(events[::step])


def with_states(
    rows: Sequence[T], of: Callable[[T], object], state: Callable[[T], object], most: int = MOST
) -> tuple[list[T], int]:
    """Return at most about `most` rows, and every how many there is one of them.

    A row with another state than its owner's last one stays, so that states are exact."""
    step = -(-len(rows) // most) or 1
    kept: list[T] = []
    last: dict[object, object] = {}
    for number, row in enumerate(rows):
        owner = of(row)
        if number % step == 0 or owner not in last or last[owner] != state(row):
            kept.append(row)
        last[owner] = state(row)
    return kept, step


def still(rows: Iterable[T], at: Callable[[T], float], part: Window, of: Callable[[T], object]) -> list[T]:
    """Return the rows within a film, and of each owner (`of`) the last one before it, which still holds.

    `rows` are in order of time."""
    before: dict[object, T] = {}
    within = []
    for row in rows:
        if at(row) <= part.start:
            before[of(row)] = row
        elif at(row) <= part.end:
            within.append(row)
    return [*before.values(), *within]

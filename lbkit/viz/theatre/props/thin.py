"""Fewer points and events than there are: what a figure of some hundred pixels can show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

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

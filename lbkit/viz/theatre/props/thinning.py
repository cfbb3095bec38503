"""Fewer changes: what a prop has is bounded, and says what is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from lbkit.viz.theatre.window import Window

MOST = 2_000  # changes of a prop
T = TypeVar("T")


def shown(rows: Iterable[T], at: Callable[[T], float], part: Window, of: Callable[[T], object]) -> list[T]:
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


def thinned(
    rows: Sequence[T], of: Callable[[T], object], state: Callable[[T], object], most: int = MOST
) -> tuple[list[T], int]:
    """Return at most about `most` rows, and every how many there is one of them.

    A row with another state than its owner's last one stays, so that states are exact."""
    every = -(-len(rows) // most) or 1
    kept: list[T] = []
    last: dict[object, object] = {}
    for number, row in enumerate(rows):
        owner = of(row)
        if number % every == 0 or owner not in last or last[owner] != state(row):
            kept.append(row)
        last[owner] = state(row)
    return kept, every

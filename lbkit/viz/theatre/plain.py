"""Numbers of films: what JSON and a reader can do with."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite


def seconds(time: float) -> float | None:
    """Return a time to the microsecond; None for nan, and for never."""
    return round(time, 6) if isfinite(time) else None


def numbered(rows: Iterable[int]) -> dict[int, int]:
    """Return the number of each row's request in a film."""
    return {row: number for number, row in enumerate(rows)}

"""What a scorecard measures: its name, how it is written, and whether more of it is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lbkit.table import duration, number

__all__ = ["MEASURES", "Measure"]


@dataclass(frozen=True)
class Measure:
    """`title`: for people. `unit`: of an axis, which shows values times `factor`."""

    title: str
    unit: str
    higher: bool
    write: Callable[[Any], str]
    factor: float = 1.0


# Of customers only: what a scraper gets is neither success nor failure.
MEASURES = {
    "availability": Measure("availability", "%", True, lambda value: number(".2f", 100)(value) + " %", 100),
    "p99": Measure("p99 latency", "s", False, duration),
    "cost": Measure("cost an hour", "€", False, number(",.0f")),
    "fairness": Measure("fairness among clients", "Jain's index", True, number(".2f")),
    "goodput": Measure("goodput", "good answers/s", True, number(".1f")),
}

"""Interrupted runs: what was measured so far, as a Result that says so."""

from __future__ import annotations

import time
from array import array
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from lbkit.experiment import Experiment
from lbkit.result import COLUMNS, OPTIONAL, Result

AGAIN = 2.0  # seconds: a second interrupt within this time is meant for whatever calls `run`


class InOneLine(KeyboardInterrupt):
    """An interrupt of which a notebook shows the message alone: the way through lbkit does not matter."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class NothingMeasured(InOneLine):
    """A run was interrupted while its processes started."""

    def __str__(self) -> str:
        return "interrupted before anything was measured; nothing is left running"


class Interrupted(InOneLine):
    """A run was interrupted; `result` has what was measured before."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.faults[-1])
        self.result = result
        self.at = time.monotonic()


def so_far(
    experiment: Experiment,
    engine: str,
    columns: Mapping[str, Any],
    at: float,
    extra: Mapping[str, Any] | None = None,
) -> Result:
    """Return the Result of a run that was interrupted at `at` seconds: the requests that had ended by then.

    Its experiment is as long as the run was, so that rates are right, and its last fault says what happened.
    Columns may have unequal lengths, as an interrupt comes at any moment."""
    traffic = experiment.traffic
    length = min(at, traffic.duration)
    warmup = traffic.warmup if traffic.warmup < length else 0.0
    fault = f"interrupted after {at:.3g} s of {traffic.duration:g} s: requests then in flight are missing"
    if warmup < traffic.warmup:
        fault += ", and the statistics include the warm-up"
    rows = [i for i, end in enumerate(columns["end"][: min(map(len, columns.values()))]) if end <= at]
    codes = {name: code for name, code in (COLUMNS | OPTIONAL).items() if name in columns}
    ended = {name: array(code, (columns[name][i] for i in rows)) for name, code in codes.items()}
    short = experiment.but(
        traffic=evolve(traffic, duration=length, warmup=warmup),
        events=[event for event in experiment.events if event.at <= length],
    )
    faults = [*(extra or {}).get("faults", ()), fault]
    return Result(short, engine, ended, {**(extra or {}), "faults": faults, "interrupted": True})

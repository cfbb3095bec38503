"""Captions: why the balancer picked what it picked, for the first decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

from lbkit.recorded import Decision
from lbkit.result import Result
from lbkit.viz.theatre.plain import numbered, seconds


def captions(result: Result, rows: Sequence[int]) -> list[dict[str, Any]]:
    """Return a caption for each recorded decision about one of the rows, in order of time."""
    number_of = numbered(rows)
    decisions: list[Decision] = result.extra.get("decisions", [])
    servers = len(result.backends)
    return [_caption(d, number_of[d.request], servers) for d in decisions if d.request in number_of]


def _caption(decision: Decision, request: int, servers: int) -> dict[str, Any]:
    why = decision.why
    # Of as many places as servers the server's name says enough, and the stage has a mark at the place.
    text = str(replace(why, place=None) if 0 < why.places <= servers else why)
    return {
        "at": seconds(decision.at),
        "request": request,
        "chosen": decision.server if decision.server >= 0 else None,
        "text": text,
        "rule": why.rule,
        "scores": {name: _short(score) for name, score in why.scores.items() if isfinite(score)},
        "best": why.best,
        "place": None if why.place is None else _short(why.place),
        "places": why.places,
        "near": [[_short(place), name] for place, name in why.near],
    }


def _short(number: float) -> float:
    """Return a number to six digits."""
    return float(f"{number:.6g}")

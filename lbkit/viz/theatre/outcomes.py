"""How requests and attempts ended, as a film says it."""

from __future__ import annotations

from lbkit.outcomes import FAILED, LEFT, OUTCOMES, UNFINISHED, outcome
from lbkit.result import Result

__all__ = ["OUTCOMES", "UNFINISHED", "outcomes"]


def outcomes(result: Result) -> list[str]:
    """Return the outcome of each row."""
    last = max(result.end, default=0.0)
    patient = result.experiment.traffic.patience is None
    guarded = result.firewall if "firewall" in result.columns else [0] * len(result)
    rows = zip(result.status, result.backend, result.end, guarded, strict=True)
    return [
        (UNFINISHED if patient and end >= last else FAILED if patient else LEFT)
        if not status
        else outcome(status, answered=backend >= 0, by_firewall=bool(rule))
        for status, backend, end, rule in rows
    ]

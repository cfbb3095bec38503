"""How requests and attempts ended, as a film says it."""

from __future__ import annotations

from lbkit.edge import TOO_MANY, UNAVAILABLE
from lbkit.result import Result, good

OUTCOMES = ("ok", "failed", "denied", "refused", "timeout", "left", "cancelled", "unfinished")
OK, FAILED, DENIED, REFUSED, TIMEOUT, LEFT, CANCELLED, UNFINISHED = OUTCOMES
GATEWAY_TIMEOUT = 504


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


def outcome(status: int, answered: bool, by_firewall: bool = False) -> str:
    """Return the outcome of a request with this status, which a server has `answered`, or the balancer."""
    if status == TOO_MANY or (by_firewall and not answered and status >= 400):
        return DENIED
    if good(status):
        return OK
    if status == GATEWAY_TIMEOUT:
        return TIMEOUT
    return REFUSED if status == UNAVAILABLE and not answered else FAILED

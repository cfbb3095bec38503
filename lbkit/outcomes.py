"""How a request ended, in a word: as films say it, of simulations and of running sessions."""

from __future__ import annotations

from lbkit.columns import good
from lbkit.edge import TOO_MANY, UNAVAILABLE

OUTCOMES = ("ok", "failed", "denied", "refused", "timeout", "left", "cancelled", "unfinished")
OK, FAILED, DENIED, REFUSED, TIMEOUT, LEFT, CANCELLED, UNFINISHED = OUTCOMES
GATEWAY_TIMEOUT = 504


def outcome(status: int, answered: bool, by_firewall: bool = False) -> str:
    """Return the outcome of a request with this status, which a server has `answered`, or the balancer."""
    if status == TOO_MANY or (by_firewall and not answered and status >= 400):
        return DENIED
    if good(status):
        return OK
    if status == GATEWAY_TIMEOUT:
        return TIMEOUT
    return REFUSED if status == UNAVAILABLE and not answered else FAILED

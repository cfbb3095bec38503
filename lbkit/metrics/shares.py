"""Shares that both a dashboard and an alert ask for."""

from __future__ import annotations

from lbkit.metrics.names import NO_ANSWER, REQUESTS
from lbkit.metrics.query import Query, Rate, Ratio, Sum

FAILED = {"code": ("5xx", NO_ANSWER)}


def error_share(window: float, by: tuple[str, ...] = ()) -> Query:
    """Return the share of requests that failed: status 5xx, or no answer."""
    failed = Sum(Rate(REQUESTS.name, window, FAILED), by)
    return Ratio(failed, Sum(Rate(REQUESTS.name, window), by))

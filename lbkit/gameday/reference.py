"""Designs to compare with, and a design without one of its parts."""

from __future__ import annotations

from lbkit.caching import Caching
from lbkit.core.health import BreakerRules, CheckRules, HealthRules
from lbkit.core.retry import AttemptTimeouts, Retry, RetryBudgetRules
from lbkit.edge import RateLimit
from lbkit.experiment import Policy
from lbkit.gameday.design import ANYWHERE, NEAREST, Design

CHECKS = CheckRules(interval=0.5, timeout=0.3, rise=1, fall=2)
BREAKER = BreakerRules(minimum=8, window=1.0, open_for=1.0, slow_rate=0.5, slow_after=0.5)
CAREFUL = Retry(timeouts=AttemptTimeouts(total=0.6), budget=RetryBudgetRules(ratio=0.2, window=5.0))
FAIR_SHARE = RateLimit({"kind": "token_bucket", "rate": 4, "burst": 8})


def references() -> dict[str, Design]:
    """Return designs by name, from the least to the whole.

    "three servers": the least that carries the traffic. "more servers": the whole budget for servers.
    "best algorithm": the same, with least connections. "by the book": two regions, checks and a retry.
    "the course": something of each chapter."""
    course = Design(
        {"europe": 3, "america": 2},
        NEAREST,
        "least_connections",
        health=HealthRules(checks=CHECKS, breaker=BREAKER),
        retries=1,
        retry=CAREFUL,
        limits=FAIR_SHARE,
        cache=Caching("max-age=60"),
    )
    return {
        "three servers": Design({"europe": 3}),
        "more servers": Design({"europe": 8}),
        "best algorithm": Design({"europe": 8}, algorithm="least_connections"),
        "by the book": Design(
            {"europe": 4, "america": 2},
            NEAREST,
            "least_connections",
            health=HealthRules(checks=CHECKS),
            retries=1,
        ),
        "the course": course,
    }


def without_each(design: Design) -> dict[str, Design]:
    """Return by name the design without one of its parts, for each that it has.

    The servers of a second region move to the first one; the algorithm gives way to round robin."""
    found = {}
    used = [region for region, count in design.servers.items() if count]
    if len(used) > 1:
        found["no second region"] = design.but(
            servers={used[0]: sum(design.servers.values())}, across=ANYWHERE
        )
    if design.algorithm != Policy().algorithm:
        found["round robin"] = design.but(algorithm=Policy().algorithm, options={})
    if design.health:
        found["no health rules"] = design.but(health=None)
    if design.retries:
        found["no retries"] = design.but(retries=0, retry=None)
    if design.limits:
        found["no limits"] = design.but(limits=())
    if design.cache:
        found["no cache"] = design.but(cache=None)
    if design.admission:
        found["no admission control"] = design.but(admission=None)
    return found

"""The rules that every service has: errors, latency, servers, capacity; and burn rates of an objective."""

from __future__ import annotations

from collections.abc import Callable

from lbkit.alerts.rule import Condition, Rule
from lbkit.core.options import number
from lbkit.metrics.names import DURATION, IN_FLIGHT, SERVICE, UP, WORKERS, Metric
from lbkit.metrics.query import Quantile, Query, Rate, Ratio, Sum, Value
from lbkit.metrics.shares import error_share

# Severity, long window, short window, factor: of the Site Reliability Workbook, chapter 5, table 5-8 (Google,
# 2018). By then 2, 5 and 10 % of a month's budget are gone. The short window, a twelfth of the long one, ends
# the alert soon after the errors.
BURN_RATES = (
    ("page", 3600.0, 300.0, 14.4),
    ("page", 21600.0, 1800.0, 6.0),
    ("ticket", 259200.0, 21600.0, 1.0),
)


def high_error_rate(share: float = 0.05, window: float = 60.0, lasts: float = 60.0) -> Rule:
    """More than a share of the requests fail. Raises ValueError for a share outside 0..1."""
    number(0, 1, share=share)
    summary = f"more than {100 * share:.3g} % of the requests fail"
    return Rule("HighErrorRate", (Condition(error_share(window), ">", share),), lasts, summary=summary)


def high_latency(limit: float, share: float = 0.99, window: float = 60.0, lasts: float = 60.0) -> Rule:
    """A quantile of the latency is above `limit` seconds; best a bound of the histogram (`BOUNDS`).

    Raises ValueError for a limit that is not above 0, or a share outside 0..1."""
    number(0, above=True, limit=limit)
    query = Quantile(share, DURATION.name, window)
    summary = f"{100 * (1 - share):.3g} % of the requests take longer than {limit:g} s"
    return Rule("HighLatency", (Condition(query, ">", limit),), lasts, summary=summary)


def server_down(lasts: float = 15.0) -> Rule:
    """The balancer sends nothing to a server, by its health rules."""
    return Rule(
        "ServerDown", (Condition(Value(UP.name), "<", 1),), lasts, summary="a server is out of service"
    )


def few_workers_left(
    share: float = 0.9, window: float = 60.0, lasts: float = 120.0, by: Metric = SERVICE
) -> Rule:
    """The servers are busy for more than a share of the time: little is left for a peak, or for a failure.

    `by`: SERVICE, the time that servers worked, which a run knows; or IN_FLIGHT for a proxy, which sees no
    work. Then the requests at the servers are compared with their workers, at each scrape, and those that
    wait there count, too: only a long `lasts` tells a peak from servers at their limit. A proxy knows the
    workers of backends whose settings have them.

    Raises ValueError for a share outside 0..1, or another metric."""
    number(0, 1, share=share)
    if by not in _BUSY:
        raise ValueError(f"by is {by.name}: use {' or '.join(metric.name for metric in _BUSY)}")
    query = Ratio(_BUSY[by](window), Sum(Value(WORKERS.name)))
    summary = f"the servers are busy for more than {100 * share:.3g} % of the time"
    return Rule("FewWorkersLeft", (Condition(query, ">", share),), lasts, "ticket", summary)


_BUSY: dict[Metric, Callable[[float], Query]] = {
    SERVICE: lambda window: Sum(Rate(f"{SERVICE.name}_sum", window)),
    IN_FLIGHT: lambda window: Sum(Value(IN_FLIGHT.name)),
}


def burn_rate(objective: float = 0.999, scale: float = 1.0) -> list[Rule]:
    """Return rules with several windows for an objective: a share of requests that has to succeed.

    They fire when errors come `factor` times as fast as the objective allows, over a long window and now.
    `scale`: factor for all windows, to see in minutes what takes hours: 1/60 makes an hour a minute.

    Raises ValueError for an objective outside 0..1, and for a scale that is not above 0."""
    number(0, 1, objective=objective)
    number(0, above=True, scale=scale)
    budget = 1 - objective
    return [
        Rule(
            f"BurnRate{factor:g}x".replace(".", "_"),
            tuple(
                Condition(error_share(window * scale), ">", float(f"{factor * budget:.6g}"))
                for window in (long, short)
            ),
            severity=severity,
            summary=f"errors at {factor:g} times the rate that an objective of {objective:.5g} allows",
        )
        for severity, long, short, factor in BURN_RATES
    ]

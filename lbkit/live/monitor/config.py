"""The files that Prometheus and Alertmanager read, and the rules for a proxy. Pure: texts come out.

Fields are those of prometheus.io/docs/prometheus/latest/configuration/configuration and
prometheus.io/docs/alerting/latest/configuration. Texts are in quotes, as JSON has them, which is YAML, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from math import inf
from typing import Any

from lbkit.alerts import (
    Condition,
    Rule,
    burn_rate,
    few_workers_left,
    high_error_rate,
    high_latency,
    server_down,
)
from lbkit.core.options import number
from lbkit.metrics import Value
from lbkit.metrics.names import IN_FLIGHT
from lbkit.metrics.query import lasting

JOB = "lbkit"
RULES = "rules.yml"
LEAST = 0.1  # seconds between scrapes at least


def prometheus_config(
    targets: Sequence[str],
    alertmanagers: Sequence[str] = (),
    rule_files: Sequence[str] = (RULES,),
    every: float = 5.0,
) -> str:
    """Return Prometheus' configuration as YAML: it scrapes /metrics of the targets, and evaluates the rules,
    each `every` seconds.

    Targets and alertmanagers are host:port. Raises ValueError for an interval below 0.1 s."""
    number(LEAST, every=every)
    interval = lasting(every)
    return "\n".join(
        [
            "global:",
            f"  scrape_interval: {interval}",
            f"  scrape_timeout: {interval}",  # its default of 10 s is refused with a shorter interval
            f"  evaluation_interval: {interval}",
            f"rule_files: {json.dumps(list(rule_files))}",
            "alerting:",
            "  alertmanagers:",
            f"  - static_configs: [{{targets: {json.dumps(list(alertmanagers))}}}]",
            "scrape_configs:",
            f"- job_name: {JOB}",
            f"  static_configs: [{{targets: {json.dumps(list(targets))}}}]",
            "",
        ]
    )


def alertmanager_config(
    webhook: str, wait: float = 1.0, interval: float = 2.0, repeat: float = 3600.0
) -> str:
    """Return Alertmanager's configuration as YAML: alerts of one rule are a group, and go to the URL
    `webhook` as JSON.

    `wait`: seconds that a new group waits for more of its alerts. `interval`: until it is sent again with
    what has changed since, `repeat`: with no change. Alertmanager's own defaults are 30 s, 5 min and 4 h,
    as people read the messages. Raises ValueError for a time that is not above 0."""
    number(0, above=True, wait=wait, interval=interval, repeat=repeat)
    return "\n".join(
        [
            "route:",
            "  receiver: webhook",
            "  group_by: [alertname]",
            f"  group_wait: {lasting(wait)}",
            f"  group_interval: {lasting(interval)}",
            f"  repeat_interval: {lasting(repeat)}",
            "receivers:",
            "- name: webhook",
            "  webhook_configs:",
            f"  - url: {json.dumps(webhook)}",
            "    send_resolved: true",
            "",
        ]
    )


def check_windows(rules: Sequence[Rule], every: float) -> None:
    """Raise ValueError for a rule that could never fire: a rate needs two scrapes in its window."""
    for rule in rules:
        shortest = min((w for condition in rule.conditions for w in windows(condition)), default=inf)
        if shortest < 2 * every:
            raise ValueError(
                f"every is {every:g}: {rule.name} looks at the last {shortest:g} s, which need two "
                f"scrapes; use at most {shortest / 2:g}, or a longer window"
            )


def windows(part: Any) -> Iterator[float]:
    """Yield the windows in seconds in a condition, and in the queries that it is made of."""
    for field in fields(part):
        value = getattr(part, field.name)
        if field.name == "window":
            yield value
        elif is_dataclass(value):
            yield from windows(value)


def proxy_down(lasts: float = 5.0) -> Rule:
    """Prometheus cannot scrape the proxy: its own metric `up` is 0. A run has no such metric."""
    down = Condition(Value("up", {"job": JOB}), "<", 1)
    return Rule("ProxyDown", (down,), lasts, summary="the proxy does not answer Prometheus")


def live_rules(
    latency: float = 0.5,
    objective: float = 0.99,
    window: float = 30.0,
    lasts: float = 10.0,
    scale: float = 1 / 60,
    every: float = 2.0,
) -> list[Rule]:
    """Return rules for a proxy, with windows short enough for a lesson.

    `latency`: seconds that 99 % of the requests may take. `objective`: the share of requests that has to
    succeed. `window`: seconds that rates are taken over. `lasts`: seconds that something has to be wrong
    before an alert fires; four times as long for the capacity. `scale`: of the windows of burn rates, of
    which the longest is 3 days. `every`: seconds between scrapes, for which no window will be too short.

    Raises ValueError as the rules of `lbkit.alerts` do."""
    window, lasts, scale = max(window, 5 * every), max(lasts, 2 * every), max(scale, every / 120)
    return [
        proxy_down(),
        server_down(lasts),
        high_error_rate(window=window, lasts=lasts),
        high_latency(latency, window=window, lasts=lasts),
        few_workers_left(lasts=4 * lasts, by=IN_FLIGHT),
        *burn_rate(objective, scale),
    ]

from __future__ import annotations

from dataclasses import replace

import pytest
from alerts.incidents import BAD_FROM, BAD_UNTIL, END, INCIDENTS, store_of

from lbkit.alerts import (
    Rule,
    burn_rate,
    evaluate,
    few_workers_left,
    high_error_rate,
    high_latency,
    server_down,
)
from lbkit.metrics import BOUNDS
from lbkit.metrics.names import DURATION, IN_FLIGHT

RULES = [
    high_error_rate(0.05, lasts=15),
    high_latency(1.0, lasts=15),
    server_down(),
    few_workers_left(),
    replace(few_workers_left(by=IN_FLIGHT), name="FewWorkersLeftOutside"),
    *burn_rate(0.999, scale=1 / 60),
]


def fired(name: str, rules: list[Rule] = RULES) -> dict[str, float]:
    """Return when each rule first fired."""
    found: dict[str, float] = {}
    for alert in evaluate(rules, store_of(name)):
        if alert.firing is not None:
            found.setdefault(alert.rule.name, alert.firing)
    return found


def test_nothing_fires_in_a_quiet_run() -> None:
    assert fired("quiet") == {}


@pytest.mark.parametrize(
    ("incident", "rule"),
    [
        ("a crash", "ServerDown"),
        ("errors", "HighErrorRate"),
        ("errors", "BurnRate14_4x"),
        ("slow", "HighLatency"),
        ("too much", "FewWorkersLeft"),
        ("too much", "FewWorkersLeftOutside"),
    ],
)
def test_each_rule_tells_of_its_incident(incident: str, rule: str) -> None:
    at = fired(incident)[rule]
    assert (BAD_FROM < at < BAD_UNTIL) or incident == "too much"


def test_an_alert_ends_soon_after_its_incident() -> None:
    for name in ("a crash", "errors", "slow"):
        for alert in evaluate(RULES[:3], store_of(name)):
            assert alert.resolved is not None
            assert alert.resolved < BAD_UNTIL + 150  # the window, and until a backlog is gone


def test_a_server_that_is_down_is_named() -> None:
    down = [alert for alert in evaluate([server_down()], store_of("a crash")) if alert.fired]
    assert [dict(alert.labels) for alert in down] == [{"backend": "s1"}]


def test_a_short_window_is_quicker_and_ends_sooner_than_a_long_one() -> None:
    fast, slow = (high_error_rate(0.05, window=window, lasts=0) for window in (30, 240))
    (first,), (second,) = (evaluate([rule], store_of("errors")) for rule in (fast, slow))
    assert first.firing is not None
    assert second.firing is not None
    assert first.firing < second.firing
    assert first.resolved is not None
    assert second.resolved is None or first.resolved < second.resolved


def test_a_burn_rate_allows_what_the_objective_allows() -> None:
    page, later, ticket = burn_rate(0.99)
    assert [condition.limit for condition in page.conditions] == [0.144, 0.144]
    assert (page.severity, later.severity, ticket.severity) == ("page", "page", "ticket")
    assert [rule.conditions[0].limit for rule in (later, ticket)] == [0.06, 0.01]


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="share is 5"):
        high_error_rate(5)
    with pytest.raises(ValueError, match="limit is 0"):
        high_latency(0)
    with pytest.raises(ValueError, match=r"objective is 99\.9"):
        burn_rate(99.9)
    with pytest.raises(ValueError, match="share is -1"):
        few_workers_left(-1)
    with pytest.raises(ValueError, match="by is lbkit_request_duration_seconds: use lbkit_service"):
        few_workers_left(by=DURATION)


def test_the_incidents_are_within_the_runs() -> None:
    assert BAD_UNTIL < END
    assert 1.0 in BOUNDS
    assert len(INCIDENTS) == 5

"""The standard incidents: each is in its run where it should be; rules notice those that they are for."""

from __future__ import annotations

from functools import cache
from math import isnan

import pytest

from lbkit import Poisson, Profile
from lbkit.alerts import (
    INCIDENTS,
    SERVICE,
    Condition,
    Injected,
    Quality,
    Rule,
    assess,
    burn_rate,
    few_workers_left,
    high_error_rate,
    high_latency,
    incident_runs,
    month,
    server_down,
)
from lbkit.alerts.injected import DAY, HOUR
from lbkit.metrics.shares import error_share

# What somebody might write who has heard of the objective, 99.9 %, and not of budgets.
PLAIN = Rule("MoreThanTheObjective", (Condition(error_share(600), ">", 0.001),))
RULES = [
    high_error_rate(0.05, window=300),
    high_latency(5.0, share=0.95, window=180, lasts=240),
    server_down(),
    few_workers_left(),
    PLAIN,
    *burn_rate(0.999),
]
GRACE = 600.0


@cache
def found() -> Quality:
    return assess(RULES, incident_runs(), GRACE)


@cache
def quiet() -> Quality:
    return assess(RULES, [month(2, rules=RULES)], GRACE)


def test_an_incident_is_put_where_it_should_be() -> None:
    for incident in INCIDENTS:
        experiment, known = incident.into(SERVICE, 2 * HOUR, 3 * HOUR)
        assert (known.name, known.actionable) == (incident.name, incident.actionable)
        assert known.start == 2 * HOUR
        assert known.end == pytest.approx(2 * HOUR + 3600 * incident.part)
        assert all(known.start <= event.at <= known.end for event in experiment.events)
        touched = bool(experiment.events) + (experiment.traffic != SERVICE.traffic) + bool(experiment.deploy)
        assert touched == 1


def test_a_surge_multiplies_the_rate_while_it_lasts() -> None:
    usual = SERVICE.traffic.arrivals
    surged = Injected("surge", traffic=3).into(SERVICE, 4 * HOUR, 12 * HOUR)[0].traffic.arrivals
    assert isinstance(usual, Profile)
    assert isinstance(surged, Profile)
    for hour in range(24):
        at = (hour + 0.5) * HOUR
        factor = 3 if 4 <= hour < 12 else 1
        assert surged.at(at) == pytest.approx(factor * usual.at(at))


@pytest.mark.parametrize(
    ("incident", "rule", "within"),
    [
        ("crash", "ServerDown", 120),
        ("flapping", "ServerDown", 300),
        ("slow server", "HighLatency", 900),
        ("overload", "HighLatency", 900),
        ("overload", "FewWorkersLeft", 600),
        ("errors", "HighErrorRate", 300),
        ("errors", "BurnRate14_4x", 900),
        ("few errors", "BurnRate14_4x", 3600),
    ],
)
def test_each_incident_is_noticed_by_the_rule_that_is_for_it(incident: str, rule: str, within: float) -> None:
    assert 0 < found().detections()[rule][incident] <= within


def test_all_incidents_are_noticed_and_what_needs_nobody_pages_nobody() -> None:
    """Neither the short spike nor the deploy is noticed by rules that wait until something lasts."""
    assert found().missed == ()
    assert not {"spike", "deploy"} & set(found().incidents)
    assert {one.rule.name: one.false for one in found() if one.rule != PLAIN} == dict.fromkeys(
        (rule.name for rule in RULES if rule != PLAIN), 0
    )


def test_burn_rates_notice_what_a_high_threshold_misses_and_are_quiet_where_a_low_one_is_not() -> None:
    high, low, burning = "HighErrorRate", PLAIN.name, "BurnRate14_4x"
    few = {rule: found().detections()[rule]["few errors"] for rule in (high, low, burning)}
    assert isnan(few[high])
    assert few[low] < few[burning]
    false = {one.rule.name: one.false_per_day for one in quiet()}
    assert false[low] > 1
    assert false[burning] == false["BurnRate6x"] == false["BurnRate1x"] == 0


def test_an_alert_of_a_long_window_alone_goes_on_long_after_the_incident() -> None:
    """That is what the short window is for. (Site Reliability Workbook, chapter 5.)"""
    both = burn_rate(0.999)[0]
    alone = Rule("LongWindow", both.conditions[:1])
    (errors,) = (one for one in INCIDENTS if one.name == "errors")
    resets = {one.rule.name: one.reset for one in assess([both, alone], incident_runs([errors]), GRACE)}
    assert resets[both.name] < 600
    assert resets["LongWindow"] > 1800


def test_quiet_days_are_quiet() -> None:
    assert quiet()[0].seconds == pytest.approx(2 * DAY, rel=0.001)
    assert {one.rule.name for one in quiet() if one.false} == {PLAIN.name}
    assert quiet().pages_per_day == quiet().of(PLAIN.name).per_day


def test_a_lower_threshold_costs_more_alerts_of_which_fewer_are_actionable() -> None:
    by_name = {one.name: one for one in INCIDENTS}
    rules = high_error_rate(lasts=0).at_limits((0.01, 0.05, 0.4))
    days = month(2, {0: by_name["errors"], 1: by_name["spike"]}, rules=rules)
    low, middle, high = assess(rules, [days], GRACE)
    assert low.per_day > middle.per_day > 0
    assert low.precision < middle.precision
    assert low.recall == middle.recall == 1 > high.recall
    assert low.rule.name == "HighErrorRate_0_01"


def test_the_incidents_of_a_month_are_on_their_days() -> None:
    days = {1: INCIDENTS[0], 2: INCIDENTS[-1]}
    store, known = month(3, days, SERVICE.but(duration=4 * HOUR), every=60, rules=[server_down()])
    assert [one.name for one in known] == ["crash", "deploy"]
    assert known[0].start == pytest.approx(6 * HOUR, abs=300)  # after a day of four hours
    assert store.names == ("lbkit_backend_up",)
    assert store.times[-1] == pytest.approx(12 * HOUR, abs=300)


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ValueError, match="days is 0"):
        month(0)
    with pytest.raises(ValueError, match="incidents has day 7: use days from 0 to 1"):
        month(2, {7: INCIDENTS[0]})
    steady = SERVICE.but(arrivals=Poisson(1))
    with pytest.raises(ValueError, match="arrivals: an incident of traffic needs a Profile"):
        Injected("surge", traffic=3).into(steady, 1, 2)
    with pytest.raises(ValueError, match="end is 1: use a number above 2"):
        INCIDENTS[0].into(SERVICE, 2, 1)

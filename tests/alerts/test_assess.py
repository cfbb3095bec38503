from __future__ import annotations

from dataclasses import replace
from math import isnan

import pytest
from alerts.incidents import BAD_FROM, BAD_UNTIL, store_of
from alerts.test_presets import RULES

from lbkit.alerts import Condition, Incident, Rule, assess
from lbkit.metrics import Store, Value
from lbkit.metrics.store import labels


def store(values: list[float]) -> Store:
    made = Store([10.0 * i for i in range(len(values))])
    made.add("depth", labels(), values)
    return made


DEEP = Rule("Deep", (Condition(Value("depth"), ">", 5),))


def test_what_it_notices_when_and_what_was_nothing() -> None:
    # fires at 20 (in the incident), at 60 (nothing), and not in the incident from 80 on
    runs = [(store([0, 0, 9, 9, 0, 0, 9, 0, 0, 0]), [Incident("one", 15, 35), Incident("two", 80, 90)])]
    (found,) = assess([DEEP], runs, grace=0)
    assert (found.recall, found.precision, found.detection) == (0.5, 0.5, 5)
    assert (found.alerts, found.false) == (2, 1)
    assert found.to_dict()["rule"] == "Deep"


def test_an_alert_soon_after_an_incident_is_about_it() -> None:
    runs = [(store([0, 0, 0, 0, 9]), [Incident("one", 15, 35)])]
    assert [assess([DEEP], runs, grace=grace)[0].false for grace in (0, 10)] == [1, 0]


def test_where_nothing_happens_there_is_no_share() -> None:
    (found,) = assess([DEEP], [(store([0, 0]), [])])
    assert all(map(isnan, (found.recall, found.precision, found.detection)))


def test_each_preset_notices_its_incident_and_none_fires_without_one() -> None:
    bad = {name: Incident(name, BAD_FROM, BAD_UNTIL) for name in ("a crash", "errors", "slow")}
    runs = [(store_of(name), [incident]) for name, incident in bad.items()]
    found = {one.rule.name: one for one in assess(RULES, [*runs, (store_of("quiet"), [])], grace=150)}
    assert all(one.false == 0 for one in found.values())
    assert found["ServerDown"].recall == pytest.approx(1 / 3)
    assert 0 < found["ServerDown"].detection < 60
    assert found["HighErrorRate"].recall >= 1 / 3


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="end is 5: use a number above 9"):
        Incident("one", 9, 5)
    with pytest.raises(ValueError, match="grace is -1"):
        assess([DEEP], [], grace=-1)


def test_an_incident_that_needs_nobody_is_none_to_notice() -> None:
    runs = [(store([0, 0, 9, 9, 0]), [Incident("spike", 15, 35, actionable=False)])]
    (found,) = assess([DEEP], runs)
    assert isnan(found.recall)
    assert (found.precision, found.false) == (0, 1)


def test_the_reset_is_the_time_from_the_end_of_the_incident_until_the_alert_is_over() -> None:
    (found,) = assess([DEEP], [(store([0, 9, 9, 9, 9, 0]), [Incident("one", 5, 25)])])
    assert found.reset == 25
    (short,) = assess([DEEP], [(store([0, 9, 0, 0]), [Incident("one", 5, 25)])])
    assert short.reset == 0
    (open_end,) = assess([DEEP], [(store([0, 9, 9]), [Incident("one", 5, 15)])])
    assert isnan(open_end.reset)


def test_alerts_a_day_and_the_table() -> None:
    ticket = replace(DEEP, name="Slowly", severity="ticket", lasts=20)
    runs = [(store([0, 9, 0, 0, 0, 0, 9]), [Incident("one", 5, 15), Incident("<two>", 30, 40)])]
    found = assess([DEEP, ticket], runs, grace=0)
    assert found.of("Deep").per_day == found.pages_per_day == 2 * 1440  # in a minute
    assert found.missed == ("<two>",)
    assert found.detections()["Deep"]["one"] == 5
    assert isnan(found.detections()["Slowly"]["one"])
    html = found._repr_html_()
    assert "noticed by no rule: &lt;two&gt;" in html
    assert "over 0.000694 days" in html
    assert html.count("<tr>") == 3
    assert repr(found).startswith("Deep: recall 50%, precision 50%, 1 false alarms")
    with pytest.raises(KeyError, match="no rule 'Nothing': there are Deep, Slowly"):
        found.of("Nothing")


def test_rules_of_one_name_are_refused_and_other_limits_have_other_names() -> None:
    with pytest.raises(ValueError, match="two are called Deep"):
        assess([DEEP, DEEP], [])
    names = [rule.name for rule in DEEP.at_limits((0.5, 7))]
    assert names == ["Deep_0_5", "Deep_7"]
    assert [one.alerts for one in assess(DEEP.at_limits((0.5, 7)), [(store([1, 8, 1]), [])])] == [1, 1]
    assert "> 7" in DEEP.at_limits([7])[0].promql()

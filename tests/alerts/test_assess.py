from __future__ import annotations

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

from __future__ import annotations

import pytest

from lbkit.alerts import Alert, Condition, Rule, evaluate
from lbkit.metrics import Store, Value
from lbkit.metrics.store import labels


def store(**series: list[float]) -> Store:
    made = Store([10.0 * i for i in range(len(next(iter(series.values()))))])
    for backend, values in series.items():
        made.add("depth", labels(backend=backend), values)
    return made


def rule(lasts: float = 0.0, limit: float = 5.0) -> Rule:
    return Rule("Deep", (Condition(Value("depth"), ">", limit),), lasts)


def spans(alerts: list[Alert]) -> list[tuple[float, float | None, float | None]]:
    return [(alert.pending, alert.firing, alert.resolved) for alert in alerts]


def test_it_fires_when_the_condition_has_held_long_enough() -> None:
    found = evaluate([rule(lasts=20)], store(a=[0, 9, 9, 9, 0]))
    assert spans(found) == [(10, 30, 40)]
    assert [found[0].fires_at(at) for at in (29.9, 30, 39.9, 40)] == [False, True, True, False]


def test_a_condition_that_ends_before_is_only_pending() -> None:
    (alert,) = evaluate([rule(lasts=20)], store(a=[0, 9, 9, 0, 0]))
    assert (alert.pending, alert.firing, alert.resolved, alert.fired) == (10, None, 30, False)


def test_a_break_begins_the_wait_anew() -> None:
    assert spans(evaluate([rule(lasts=10)], store(a=[9, 0, 9, 9, 9]))) == [(0, None, 10), (20, 30, None)]


def test_without_a_wait_it_fires_at_once() -> None:
    assert spans(evaluate([rule()], store(a=[0, 9, 0]))) == [(10, 10, 20)]


def test_each_set_of_labels_is_an_alert_of_its_own() -> None:
    found = evaluate([rule()], store(a=[0, 9, 9], b=[9, 0, 0]))
    assert [(dict(alert.labels)["backend"], alert.pending) for alert in found] == [("b", 0), ("a", 10)]


def test_all_conditions_have_to_hold() -> None:
    both = Rule("Between", (Condition(Value("depth"), ">", 5), Condition(Value("depth"), "<", 8)))
    assert spans(evaluate([both], store(a=[9, 7, 3]))) == [(10, 10, 20)]


def test_what_is_not_a_number_meets_no_condition() -> None:
    assert evaluate([rule(limit=-1e9)], store(a=[float("nan")] * 3)) == []


def test_evaluations_may_be_rarer_than_scrapes() -> None:
    assert spans(evaluate([rule()], store(a=[0, 9, 0, 9, 9]), every=20)) == [(40, 40, None)]


def test_an_alert_has_its_last_value() -> None:
    (alert,) = evaluate([rule()], store(a=[6, 7, 8]))
    assert alert.value == 8


def test_wrong_rules_are_refused() -> None:
    with pytest.raises(ValueError, match="comparison is '=='"):
        Condition(Value("depth"), "==", 1)
    with pytest.raises(ValueError, match="limit is nan"):
        Condition(Value("depth"), ">", float("nan"))
    with pytest.raises(ValueError, match="name is 'too deep'"):
        Rule("too deep", rule().conditions)
    with pytest.raises(ValueError, match="conditions of Deep are none"):
        Rule("Deep", ())
    with pytest.raises(ValueError, match="lasts is -1"):
        rule(lasts=-1)
    with pytest.raises(ValueError, match="every is 0"):
        evaluate([rule()], store(a=[1]), every=0)

from __future__ import annotations

from films import result_of

from lbkit.viz.theatre import film


def test_pools_have_labels_and_requests_have_the_rule_that_decided() -> None:
    result = result_of("pools")
    shown = film(result)
    assert shown.pools == [
        {"name": "default", "label": "pool default: 80 %"},
        {"name": "canary", "label": "pool canary: 20 %"},
        {"name": "api", "label": "pool api"},
    ]
    assert [rule["says"] for rule in shown.rules] == ["pool api", "answer 410", "default 80 %, canary 20 %"]
    assert shown.requests["rule"] == list(result.rule)


def test_without_rules_there_is_none_of_it() -> None:
    shown = film(result_of("small"))
    assert (shown.pools, shown.rules) == ([], [])
    assert "rule" not in shown.requests

"""The firewall in an experiment: attacks as a part of the traffic, and what a Result says of them."""

from __future__ import annotations

from math import isnan

import pytest
from attrs import evolve
from firewalled import BASE, KINDS

from lbkit import Experiment, ExperimentError, FirewallRules, Layer4, RequestKind, run
from lbkit.core.detection_rates import Rate


def test_attacks_are_refused_and_the_rule_is_named() -> None:
    result = run(BASE)
    rows = result.to_dict()
    found = dict(
        zip(rows["kind"], zip(rows["firewall"], rows["score"], rows["status"], strict=True), strict=True)
    )
    assert found == {
        "shop": (None, 0, 200),
        "search": (None, 2, 200),
        "sqli": (1002, 5, 403),
        "xss": (2001, 8, 403),
        "traversal": (3001, 13, 403),
        "bot": (5001, 5, 403),
    }
    assert set(result.where(status=403).backend) == {-1}
    assert result.detection_rate == 1
    assert result.false_alarm_rate == 0
    counts = result.by_kind()
    assert result.by_firewall_rule() == {
        rule: counts[kind]
        for rule, kind in ((1002, "sqli"), (2001, "xss"), (3001, "traversal"), (5001, "bot"))
    }
    assert Rate("sqli", True, counts["sqli"], counts["sqli"]) in result.firewall_rates


def test_monitoring_flags_the_same_requests_and_refuses_none() -> None:
    blocked, monitored = run(BASE), run(BASE.but(firewall=FirewallRules()))
    assert monitored.flagged == blocked.flagged
    assert monitored.score == blocked.score
    assert set(monitored.status) == {200}


def test_a_low_threshold_costs_false_alarms() -> None:
    result = run(BASE.but(firewall=FirewallRules(mode="block", threshold=2)))
    assert result.detection_rate == 1
    assert result.false_alarm_rate == result.by_kind()["search"] / sum(
        count for name, count in result.by_kind().items() if name in ("shop", "search")
    )


def test_a_limit_is_a_rule_without_a_score() -> None:
    result = run(BASE.but(firewall=FirewallRules(mode="block", methods=("POST",))))
    assert set(zip(result.where(status=405).firewall, result.where(status=405).score, strict=True)) == {
        (102, 0)
    }
    monitored = run(BASE.but(firewall=FirewallRules(methods=("POST",))))
    rows = monitored.to_dict()
    assert {(102, 5), (102, 0)} <= set(zip(rows["firewall"], rows["score"], strict=True))  # both have looked


def test_networks_decide_by_the_client() -> None:
    result = run(BASE.but(firewall=FirewallRules(mode="block", deny=("0.0.0.0/1",), allow=("128.0.0.0/1",))))
    assert set(result.firewall) == {101}  # all clients are in 10.0.0.0/8
    result = run(BASE.but(firewall=FirewallRules(mode="block", allow=("10.0.0.0/8",))))
    assert set(result.firewall) == {0}


def test_only_kinds_that_are_attacks_can_be_detected() -> None:
    result = run(BASE.but(mix=KINDS[:2]))
    assert isnan(result.detection_rate)
    assert result.false_alarm_rate == 0
    assert run(BASE.but(mix=())).false_alarm_rate == 0


def test_the_simulator_says_that_the_firewall_takes_no_time() -> None:
    assert any("firewall" in note for note in run(BASE).notes)
    assert not run(BASE.but(firewall=None)).notes


def test_an_engine_that_is_not_simulated_is_refused() -> None:
    rules = FirewallRules(mode="block", engine="modsecurity")
    with pytest.raises(ValueError, match="'modsecurity' is not simulated: use 'lbkit'"):
        run(BASE.but(firewall=rules))


def test_without_a_firewall_there_are_no_rates() -> None:
    result = run(BASE.but(firewall=None))
    with pytest.raises(ValueError, match="use FirewallRules"):
        result.detection_rate  # noqa: B018
    with pytest.raises(AttributeError, match="an experiment with a firewall"):
        result.score  # noqa: B018


def test_attacks_and_rules_survive_a_file() -> None:
    assert Experiment.from_toml(BASE.to_toml()) == BASE
    assert Experiment.from_json(BASE.to_json()) == BASE


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"firewall": FirewallRules(audit="-")}, "firewall.audit: the Result has"),
        ({"firewall": FirewallRules(off=(7,))}, "firewall.off has 7"),
        ({"firewall": FirewallRules(), "layer4": Layer4()}, "firewall: layer 4 reads no requests"),
    ],
)
def test_rules_that_make_no_sense_are_named(change: dict[str, object], why: str) -> None:
    with pytest.raises(ExperimentError, match=why):
        BASE.but(**change)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"path": "/a/../b"}, "path is '/a/../b': use letters.* or attack=True"),
        ({"body": "x"}, "body: a GET has none here: use method='POST'"),
        ({"query": "a b"}, "query is 'a b': use a text"),
        ({"headers": {"Content-Encoding": "gzip"}}, "headers has 'Content-Encoding'"),
    ],
)
def test_a_kind_that_cannot_be_sent_is_named(change: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        evolve(RequestKind("a"), **change)


def test_an_attack_may_have_any_path() -> None:
    assert RequestKind("a", path="/a/../b", attack=True).target(3) == "/a/../b/3"

"""Orders to a serving process."""

from __future__ import annotations

from typing import Any

import pytest

from lbkit.core import PoolSet
from lbkit.core.state_change import StateChange
from lbkit.net import ProxyConfig
from lbkit.net.proxy import Proxy
from lbkit.net.workers.orders import carry_out
from lbkit.net.workers.report import MOST_CHANGES, Process, note


def process(**fields: Any) -> Process:
    data = {
        "admin": {"listen": "127.0.0.1:0"},
        "backends": [
            {"address": "127.0.0.1:1", "name": "a"},
            {"address": "127.0.0.1:2", "name": "b", "pool": "other", "weight": 1e12},
        ],
        "routing": {"rules": [{"name": "r", "then": {"kind": "pool", "pool": "other"}}]},
        **fields,
    }
    config = ProxyConfig.from_dict(data)
    pool = config.pool()
    return Process(Proxy(pool, config), pool, config, {})


def algorithms(subject: Process) -> list[str]:
    assert isinstance(subject.pool, PoolSet)
    return [pool.balancer.name for _, pool in subject.pool.items()]


def test_an_algorithm_is_switched_in_all_pools() -> None:
    subject = process()
    assert carry_out(subject, {"do": "switch", "algorithm": "maglev", "options": {}}) == {"result": None}
    assert algorithms(subject) == ["maglev", "maglev"]
    assert subject.config.policy.algorithm == "maglev"


@pytest.mark.parametrize("balancers", [1, 3])
def test_a_switch_that_one_pool_refuses_changes_none(balancers: int) -> None:
    subject = process(policy={"algorithm": "round_robin", "balancers": balancers})
    subject.pool.set_weight("b", 1e300)
    answer = carry_out(subject, {"do": "switch", "algorithm": "consistent_hash", "options": {}})
    assert "error" in answer
    assert algorithms(subject) == ["round_robin", "round_robin"]
    assert subject.config.policy.algorithm == "round_robin"


def test_an_order_that_cannot_be_carried_out_says_why() -> None:
    subject = process()
    for order, why in (
        ({"do": "weight", "backend": "c", "weight": 1}, "no backend 'c' in the pools: there are a, b"),
        ({"do": "weight", "backend": "a", "weight": -1}, "weight of backend 'a' is -1"),
        ({"do": "breaker", "backend": "a", "opens": True}, "a has no breaker: add [policy.health.breaker]"),
        ({"do": "purge", "url": ""}, "this proxy has no cache"),
    ):
        assert why in carry_out(subject, order)["error"]


def test_a_report_has_each_backend_once_for_each_balancer() -> None:
    subject = process(policy={"balancers": 3})
    report = carry_out(subject, {"do": "report"})["result"]
    assert [row["name"] for row in report["backends"]] == ["a"] * 3 + ["b"] * 3
    assert [row["pool"] for row in report["backends"]] == ["default"] * 3 + ["other"] * 3
    assert report["counts"]["backends"].keys() == {"a", "b"}


def test_only_the_last_change_of_each_backend_is_kept() -> None:
    changes: dict[str, StateChange] = {}
    for i in range(MOST_CHANGES + 5):
        for state in ("up", "down"):
            note(changes, StateChange(float(i), str(i), "check", "?", state))
    assert len(changes) == MOST_CHANGES
    assert {change.after for change in changes.values()} == {"down"}

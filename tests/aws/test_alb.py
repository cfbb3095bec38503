"""ALB as an experiment: what the manual says of target groups and listeners, and what a run shows of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from lbkit import Event, Experiment, Policy, Server, SlowStart, aws, run, servers
from lbkit.core.routing import Fixed, Maintenance, Redirect, Routing, Rule, Split, ToPool, When
from lbkit.experiment.spread import spread_load

API = Rule("api", ToPool("api"), When(prefix=("/api",)))
OLD = Rule("old", Redirect("https://{host}/new{rest}", 301), When(prefix=("/old",)))
GROUPS = {"default": servers(3), "api": [Server("a1"), Server("a2")]}


def test_the_defaults_are_those_of_the_manual() -> None:
    policy = aws.alb_policy()
    checks = policy.health and policy.health.checks
    assert checks
    assert (checks.interval, checks.timeout, checks.rise, checks.fall) == (30, 5, 5, 2)
    assert (checks.probe.kind, checks.probe.path, checks.probe.expect) == ("http", "/", "200")
    assert checks.start == "down"  # a new target has to pass one check
    assert policy.drain
    assert (policy.drain.timeout, policy.algorithm, policy.sticky, policy.slow_start) == (
        300,
        "round_robin",
        None,
        None,
    )
    assert (aws.lb_cookie().idle, aws.lb_cookie().cookie) == (86_400, "AWSALB")
    assert aws.app_cookie("sid").how == "learn"


def test_attributes_become_fields_of_the_policy() -> None:
    sticky = aws.lb_cookie(60)
    policy = aws.alb_policy("least_outstanding_requests", stickiness=sticky, deregistration_delay=0)
    assert (policy.algorithm, policy.sticky) == ("least_connections", sticky)
    assert policy.drain
    assert 0 < policy.drain.timeout < 0.01
    assert aws.alb_policy("weighted_random", anomaly_mitigation=True).algorithm == "anomaly_mitigation"
    zonal = aws.alb_policy("least_outstanding_requests", cross_zone=False)
    assert (zonal.algorithm, zonal.options) == ("cross_zone", {"across": False, "inner": "least_connections"})
    assert aws.alb_policy(slow_start=30).slow_start == SlowStart(30, floor=0.01)
    assert aws.alb_policy(checks=None).health is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: aws.alb_policy(anomaly_mitigation=True), "with weighted_random only, not with round_robin"),
        (
            lambda: aws.alb_policy(cross_zone=False, stickiness=aws.lb_cookie()),
            "none while cross-zone is off",
        ),
        (lambda: aws.alb_policy("least_outstanding_requests", slow_start=60), "only with round_robin"),
        (lambda: aws.alb_policy("least_connections"), "aws_alb has no 'least_connections'"),
        (lambda: aws.alb_policy(deregistration_delay=3601), "deregistration_delay is 3601"),
        (lambda: aws.lb_cookie(604_801), "duration is 604801"),
        (lambda: aws.app_cookie("AWSALBTG"), "the load balancer's own"),
        (lambda: aws.fail_open_below(4, 3), "minimum_healthy is 4"),
        (lambda: aws.listener({0: API}), "priority is 0"),
        (lambda: aws.listener({1: Rule("all", ToPool("api"))}), "no condition"),
        (lambda: aws.listener({1: Rule("m", Maintenance(), When(path=("/",)))}), "ALB forwards"),
        (lambda: aws.listener({1: Rule("r", Redirect("/x", 307), When(path=("/",)))}), "301 or 302"),
        (lambda: aws.listener({1: Rule("c", ToPool("x"), When(cookie={"a": "b"}))}), "condition on a cookie"),
        (lambda: aws.listener(default=Maintenance()), "rule 'default': ALB forwards"),
    ],
)
def test_what_alb_does_not_have_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_rules_are_asked_by_priority_and_the_default_action_is_last() -> None:
    narrow = Rule("v2", ToPool("default"), When(prefix=("/api/v2",)))
    routing = aws.listener({20: API, 10: narrow, 30: OLD}, default=Fixed(404))
    assert [rule.name for rule in routing.rules] == ["v2", "api", "old", "default action"]
    result = run(aws.alb(GROUPS, routing).but(duration=20))
    assert all(result.counts[name] > 50 for name in ("s1", "a1", "a2"))


def test_forwarding_by_weight() -> None:
    routing = aws.listener(default=Split({"default": 9, "api": 1}, key=""))
    result = run(aws.alb(GROUPS, routing).but(duration=60))
    api = sum(result.counts[name] for name in ("a1", "a2"))
    assert api / sum(result.counts.values()) == pytest.approx(0.1, abs=0.02)


def test_when_no_target_is_healthy_all_get_traffic() -> None:
    """Fail open: the network is too slow for the checks' timeout, but the targets do serve."""
    slow = [Event(40, "delay", server.name, 3.0) for server in servers(2)]
    result = run(aws.alb(servers(2)).at_load(0.3).but(events=slow, duration=200))
    assert {change.backend for change in result.changes if change.after == "down"} == {"s1", "s2"}
    assert result.error_rate == 0
    assert aws.ALB_CHECKS.mean_detection() == 45  # a fault, then two checks 30 s apart


def test_fail_open_has_a_threshold() -> None:
    assert aws.fail_open_below() < 1 / 1000
    assert 2 / 10 < aws.fail_open_below(3, 10) < 3 / 10
    assert aws.fail_open_below(1, 10, percentage=50) == 0.5


def test_cross_zone_decides_the_load_of_a_small_zone() -> None:
    uneven = [Server("x1", zone="x"), *(Server(f"y{i}", zone="y") for i in range(4))]
    on, off = (
        run(aws.alb(uneven, policy=aws.alb_policy(cross_zone=c)).at_load(0.3).but(duration=60))
        for c in (True, False)
    )
    assert on.shares["x1"] == pytest.approx(0.2, abs=0.01)
    assert off.shares["x1"] == pytest.approx(0.5, abs=0.03)


def test_anomaly_mitigation_keeps_traffic_from_a_target_that_fails_half_of_it() -> None:
    targets = [Server("bad", error_rate=0.5), *servers(4)]
    plain, mitigated = (
        run(
            aws.alb(targets, policy=aws.alb_policy("weighted_random", anomaly_mitigation=m)).but(duration=120)
        )
        for m in (False, True)
    )
    assert plain.shares["bad"] == pytest.approx(0.2, abs=0.02)
    assert mitigated.error_rate < plain.error_rate / 3


def test_stickiness_needs_one_group() -> None:
    policy = aws.alb_policy(stickiness=aws.lb_cookie())
    assert run(aws.alb(servers(3), policy=policy).but(duration=5)).error_rate == 0
    with pytest.raises(ValueError, match="sessions do not work with several pools"):
        aws.alb(GROUPS, aws.listener({1: API}), policy)


def test_groups_may_have_attributes_of_their_own() -> None:
    """One target is slow: by least outstanding requests it gets less, in turns as much as the others."""
    some = [Server("slow", speed=0.2), *servers(2)]
    clever = aws.target_group("clever", some, aws.alb_policy("least_outstanding_requests"))
    groups = {"default": clever, "plain": aws.target_group("plain", [Server("p1"), Server("p2", speed=0.2)])}
    routing = aws.listener({1: Rule("plain", ToPool("plain"), When(prefix=("/plain",)))})
    result = run(aws.alb(groups, routing).but(duration=60))
    assert result.counts["p1"] == pytest.approx(result.counts["p2"], abs=1)
    assert result.counts["slow"] < result.counts["s1"] / 2


def test_it_is_plain_data() -> None:
    experiment = aws.alb(GROUPS, aws.listener({1: API, 2: OLD}))
    assert Experiment.from_toml(experiment.to_toml()) == experiment


# -- traffic for all rules ------------------------------------------------------------------------


def spread(*rules: Rule) -> tuple[Experiment, list[str]]:
    pools = dict.fromkeys(["default", *(pool for rule in rules for pool in rule.pools)])
    experiment = Experiment([Server(pool, pool=pool) for pool in pools], routing=Routing(rules))
    return spread_load(experiment, 0.5)


@pytest.mark.parametrize(
    "when",
    [
        When(prefix=("/api",)),
        When(host=("*.example.org",)),
        When(method=("POST",)),
        When(header={"X-Beta": "y*"}),
        When(header={"host": "~(?i)(?:api-.*[.]example[.]org|b)(?::[0-9]{1,5})?"}),
        When(query={"v": "2"}),
        When(cookie={"group": "b"}),
        When(regex=(r"/img/.*",)),
        When(regex=(r"/v[0-9]+/users/.*",)),
    ],
    ids=repr,
)
def test_a_rule_gets_requests(when: When) -> None:
    experiment, missed = spread(Rule("r", ToPool("p"), when))
    assert missed == []
    result = run(experiment.but(duration=60))
    assert result.counts["p"] > 0
    assert result.counts["p"] == pytest.approx(result.counts["default"], rel=0.5)


def test_rules_that_no_such_request_fits_are_named() -> None:
    _, missed = spread(
        Rule("exact", ToPool("p"), When(path=("/login",))),
        Rule("client", ToPool("p"), When(client=("10.0.0.0/8",))),
    )
    assert missed == ["exact", "client"]


def test_no_pool_exceeds_the_load() -> None:
    experiment, _ = spread(Rule("canary", Split({"default": 95, "new": 5})))
    result = run(experiment.but(duration=60))
    assert result.utilisation["default"] == pytest.approx(0.5, abs=0.07)


def test_without_rules_it_is_the_load_of_all() -> None:
    plain = Experiment(servers(2), policy=Policy("random"))
    assert spread_load(plain, 0.5) == (plain.at_load(0.5), [])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: aws.alb_policy(None), "aws_alb has no None"),
        (lambda: aws.alb_policy(cross_zone="no"), "cross_zone is 'no': use true or false"),
        (lambda: aws.alb_policy(slow_start="x"), "slow_start is 'x': use a number"),
        (lambda: aws.alb_policy(checks=5), "checks is 5: use CheckRules"),
        (lambda: aws.app_cookie(5), "name is 5: use the name of the application's cookie"),
        (lambda: aws.alb(5), "targets of default has 5: use a Server or Tier each"),
        (lambda: aws.alb({"a": None}), "targets of a has None"),
        (lambda: aws.listener([5]), r"rules is \[5\]: use a table"),
        (lambda: aws.listener({1: 5}), "the rule of priority 1 is 5: use Rule"),
        (lambda: aws.listener({1: None, "a": None}), "the rule of priority 1 is None"),
        (lambda: aws.target_group("a", 5), r"servers\[0\] is 5: use a Server or a Tier"),
        (lambda: aws.nlb(5), r"servers\[0\] is 5"),
        (lambda: aws.nlb_policy(source_ip="no"), "source_ip is 'no': use true or false"),
        (lambda: aws.nlb_settings([5]), "addresses has 5: use texts"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_types_are_named(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()

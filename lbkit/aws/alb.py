"""Application Load Balancer: a listener with rules, in front of target groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter

from attrs import evolve

from lbkit import presets
from lbkit.aws.attributes import ALB_CHECKS, DEREGISTRATION_DELAY, draining, fail_open_below
from lbkit.checks import several
from lbkit.core.health import CheckRules, HealthRules
from lbkit.core.options import flags, instance, instances, table, whole
from lbkit.core.routing import DEFAULT, Action, Fixed, Redirect, Routing, Rule, Split, ToPool
from lbkit.core.sticky import Sticky
from lbkit.core.text import shown
from lbkit.experiment import Experiment, Policy, Server
from lbkit.experiment.spread import spread_load
from lbkit.tier import Tier

DAY = 86_400
WEEK = 7 * DAY
LOAD = 0.7  # of what the targets can serve, until `at_load` says otherwise
_RESERVED = ("AWSALB", "AWSALBAPP", "AWSALBTG")  # cookies of the load balancer's own


def lb_cookie(duration: int = DAY) -> Sticky:
    """Return duration-based stickiness: the load balancer's cookie, AWSALB, renewed with each answer.

    `duration`: seconds, up to a week. A target that is deregistering or unhealthy gets no more requests of
    its sessions. Raises ValueError.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/sticky-sessions.html"""
    whole(1, WEEK, duration=duration)
    return Sticky("insert", "AWSALB", idle=duration, drain=False)


def app_cookie(name: str, duration: int = DAY) -> Sticky:
    """Return application-based stickiness: a session begins when a target sets its cookie `name`.

    AWS writes the target into a cookie of its own beside it, AWSALBAPP; here a table remembers it.
    `duration`: seconds, up to a week. Raises ValueError. (The same page.)"""
    if not isinstance(name, str):
        raise ValueError(f"name is {shown(name)}: use the name of the application's cookie")
    if name.startswith(_RESERVED):
        raise ValueError(f"name is {name!r}: names that start with AWSALB are the load balancer's own")
    whole(1, WEEK, duration=duration)
    return Sticky("learn", name, idle=duration, drain=False)


def alb_policy(
    algorithm: str = "round_robin",
    *,
    anomaly_mitigation: bool = False,
    cross_zone: bool = True,
    slow_start: float = 0.0,
    stickiness: Sticky | None = None,
    deregistration_delay: float = DEREGISTRATION_DELAY,
    checks: CheckRules | None = ALB_CHECKS,
    fail_open: float = fail_open_below(),
) -> Policy:
    """Return the attributes of a target group as a Policy. Raises ValueError for what ALB does not allow.

    `algorithm`: round_robin, least_outstanding_requests or weighted_random; only the last has
    `anomaly_mitigation`, and only the first `slow_start` (30 to 900 s). `stickiness`: of `lb_cookie` or
    `app_cookie`. `cross_zone`: on unless turned off, and then there is no stickiness.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/disable-cross-zone.html"""
    flags(anomaly_mitigation=anomaly_mitigation, cross_zone=cross_zone)
    if anomaly_mitigation and algorithm != "weighted_random":
        raise ValueError(f"anomaly_mitigation: ALB has it with weighted_random only, not with {algorithm}")
    if stickiness and not cross_zone:
        raise ValueError("stickiness: ALB has none while cross-zone is off; turn it on, or leave it out")
    policy = presets.aws_alb(algorithm + "_mitigated" if anomaly_mitigation else algorithm, slow_start)
    if not cross_zone:
        policy = evolve(policy, algorithm="cross_zone", options={"across": False, "inner": policy.algorithm})
    return evolve(
        policy,
        sticky=stickiness,
        drain=draining(deregistration_delay),
        health=HealthRules(checks=checks) if checks else None,
        panic=fail_open,
    )


def listener(
    rules: Mapping[int, Rule] | None = None, default: Action | None = None, doubtful: str = "pass"
) -> Routing:
    """Return the rules of a listener: of those that match, the one with the lowest priority number decides.

    `rules`: by priority, 1 to 50,000. Conditions are on host, path (also a prefix or regular expression),
    method, header, query and client. Actions are to forward to a target group (`ToPool`) or to several by
    weight (`Split`), to redirect (301 or 302), or a `Fixed` answer. A Split with `key="client"` is group
    stickiness, which ALB keeps in a cookie. `default`: the action if no rule matches; None is the target
    group "default". `doubtful`: as in Routing; ALB passes such paths on. Raises ValueError.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-rules.html"""
    ordered = list(table("rules", rules or {}).items())
    for priority, rule in ordered:
        whole(1, 50_000, priority=priority)
        instance(Rule, f"the rule of priority {priority}", rule)
        _check(rule.name, rule.then)
        if rule.rewrite or rule.mirror or rule.when.cookie or rule.when.content_type:
            raise ValueError(
                f"rule {rule.name!r} has a rewrite, a mirror, or a condition on a cookie or content type: "
                "ALB has host, path, method, header, query and client"
            )
        if not rule.when.conditions():
            raise ValueError(f"rule {rule.name!r} has no condition: use `default` for what no rule fits")
    last = []
    if default is not None:
        _check("default", default)
        last = [Rule("default action", default)]
    return Routing((*(rule for _, rule in sorted(ordered, key=itemgetter(0))), *last), doubtful=doubtful)


def _check(name: str, then: Action) -> None:
    if not isinstance(then, ToPool | Split | Redirect | Fixed):
        raise ValueError(f"rule {name!r}: ALB forwards (ToPool, Split), redirects, or gives a Fixed answer")
    if isinstance(then, Redirect) and then.status not in (301, 302):
        raise ValueError(f"rule {name!r}: status is {then.status}: ALB redirects with 301 or 302")


def target_group(name: str, targets: Iterable[Server], policy: Policy | None = None) -> Tier:
    """Return a target group with its own attributes, for `alb`: a balancer behind the listener's rules.

    `policy`: by default that of `alb_policy`; not with stickiness, which needs a single target group here.
    Raises ValueError."""
    return Tier(name, several(targets), alb_policy() if policy is None else policy)


def alb(
    targets: Iterable[Server] | Mapping[str, Iterable[Server] | Tier],
    routing: Routing | None = None,
    policy: Policy | None = None,
    name: str = "ALB",
) -> Experiment:
    """Return an ALB in front of targets, with requests for all rules; the busiest group has a load of 0.7.

    `targets`: those of a single target group, or by the name of their group; requests that match no rule go
    to the group "default". `routing`: from `listener`. `policy`: from `alb_policy`, for all groups that are
    not a `target_group` with their own. Stickiness needs a single group. Change the rest with `but` and
    `at_load`. Raises ValueError, ExperimentError."""
    groups = targets if isinstance(targets, Mapping) else {DEFAULT: targets}
    servers = []
    for group, members in groups.items():
        nodes = several(members)
        instances(Server | Tier, f"targets of {group}", nodes)
        servers += [evolve(node, pool=group) for node in nodes]
    policy = alb_policy() if policy is None else policy
    return spread_load(Experiment(servers, policy=policy, routing=routing, name=name), LOAD)[0]

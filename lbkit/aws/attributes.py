"""Attributes of all target groups: health checks, the deregistration delay, and when they fail open."""

from __future__ import annotations

from lbkit.core.drain import DrainRules
from lbkit.core.health import CheckRules, Probe
from lbkit.core.options import number, whole

DEREGISTRATION_DELAY = 300.0  # seconds; 0 to 3600 are allowed
_AT_ONCE = 1e-3  # seconds; stands for a deregistration delay of 0

# A new target has to pass one check first. The matcher is 200, the path /.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
ALB_CHECKS = CheckRules(
    interval=30.0, timeout=5.0, rise=5, fall=2, start="down", probe=Probe(path="/", expect="200")
)
# As for an ALB, but by a connection; HTTP checks have a timeout of 6 s.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
NLB_CHECKS = CheckRules(interval=30.0, timeout=10.0, rise=5, fall=2, start="down", probe=Probe("tcp"))
# A new target gets traffic as soon as it is registered. The port of the checks is 80.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/gateway/health-checks.html
GWLB_CHECKS = CheckRules(interval=10.0, timeout=5.0, rise=5, fall=2, probe=Probe("tcp", port=80))


def draining(delay: float) -> DrainRules:
    """Return the rules by which a deregistered target leaves within `delay` seconds. Raises ValueError.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html"""
    number(0, 3600, deregistration_delay=delay)
    return DrainRules(max(delay, _AT_ONCE))


def fail_open_below(healthy: int = 1, targets: int = 1, percentage: float = 0.0) -> float:
    """Return the share of healthy targets below which all get traffic, healthy or not, for `Policy.panic`.

    `healthy`: the minimum number of healthy targets out of `targets`; `percentage`: the same minimum as a
    percentage; the larger one counts. By default one healthy target is enough. Raises ValueError.
    (target_group_health.unhealthy_state_routing.*:
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health.html)"""
    whole(1, targets=targets)
    whole(1, targets, minimum_healthy=healthy)
    number(0, 100, percentage=percentage)
    # Half a target less, so that rounding never fails open with exactly `healthy` targets.
    return max((healthy - 0.5) / targets if healthy > 1 else 1e-6, percentage / 100)

"""The kinds of deploys: what each is as data, and what carries it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lbkit.core.rollout import Managed, RollingDeploy, Rollout
from lbkit.core.state_change import StateChange
from lbkit.core.traffic_shift import BlueGreen, Canary, TrafficShift

Deployment = RollingDeploy | BlueGreen | Canary


def begin(
    rules: Deployment,
    weights: Mapping[str, float],
    fleet: Managed,
    on_change: Callable[[StateChange], object],
) -> Rollout | TrafficShift:
    """Return the deploy on its way; `weights`: of all servers, by name."""
    if isinstance(rules, RollingDeploy):
        return Rollout(rules, weights, fleet, on_change)
    return TrafficShift(rules, weights, fleet, on_change)

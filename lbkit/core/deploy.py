"""The kinds of deploys: the rules of each, and the class that carries it out."""

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
    """Return a deploy in progress; `weights`: the weights of all servers, by name."""
    if isinstance(rules, RollingDeploy):
        return Rollout(rules, weights, fleet, on_change)
    return TrafficShift(rules, weights, fleet, on_change)

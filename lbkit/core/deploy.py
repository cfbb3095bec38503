"""The kinds of deploys: what each is as data, and what carries it out."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lbkit.core.blue_green import BlueGreen, Switchover
from lbkit.core.rollout import Managed, RollingDeploy, Rollout
from lbkit.core.state_change import StateChange

Deployment = RollingDeploy | BlueGreen


def begin(
    rules: Deployment, names: Iterable[str], fleet: Managed, on_change: Callable[[StateChange], object]
) -> Rollout | Switchover:
    """Return the deploy on its way; `names`: the servers in the pool."""
    if isinstance(rules, BlueGreen):
        return Switchover(rules, names, fleet, on_change)
    return Rollout(rules, names, fleet, on_change)

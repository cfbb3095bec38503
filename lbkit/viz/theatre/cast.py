"""The servers of a film, as they are at the start of the run."""

from __future__ import annotations

from typing import Any

from lbkit.experiment import Experiment
from lbkit.server import PROCESSOR_SHARING


def cast(experiment: Experiment) -> list[dict[str, Any]]:
    """Return each server as plain data; `member`: whether it is in the pool from the start."""
    joining = experiment.joining
    return [
        {
            "name": server.name,
            "workers": server.workers,
            "queue": server.queue,
            "weight": server.weight,
            "speed": server.speed,
            "zone": server.zone,
            "pool": server.pool,
            "sharing": server.discipline == PROCESSOR_SHARING,
            "member": server.name not in joining,
        }
        for server in experiment.leaves
    ]

"""The differences between a simulation and the experiment: the parts of it that cost nothing here."""

from __future__ import annotations

from lbkit.experiment import Experiment


def notes(experiment: Experiment) -> list[str]:
    """Return the parts of an experiment that are not simulated, or not all of them, a line each."""
    said = []
    if experiment.firewall:
        said.append("the firewall takes no time here: on real sockets it costs the proxy processor time")
    return said

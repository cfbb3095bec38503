"""Runs an experiment in virtual time, from its beginning to its Result."""

from __future__ import annotations

from lbkit.experiment import Experiment
from lbkit.result import Result
from lbkit.sim.impatient import ImpatientSimulation
from lbkit.sim.simulation import Simulation


def simulation(experiment: Experiment, max_events: int | None = None) -> Simulation:
    """Return the simulation of an experiment, as its clients behave."""
    return (ImpatientSimulation if experiment.traffic.patience else Simulation)(experiment, max_events)


def simulate(experiment: Experiment, grace: float | None = None, max_events: int | None = None) -> Result:
    """Return the Result of a run in which requests arrive for `duration`, and every one of them is answered.

    With a `grace`, the run ends as many seconds after the last arrivals may come, as on live engines: what is
    not answered by then has status 0. `max_events` is a bound for runs that would never end; by default
    MAX_EVENTS, and as many more as the requests of an open loop can take. Same experiment, same Result, to
    the last bit. Raises AlgorithmError, TooManyEvents, ValueError for a grace below 0."""
    return simulation(experiment, max_events).run(grace)

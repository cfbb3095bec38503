"""The simulator: an experiment in virtual time, deterministic, on one core, without sockets."""

from lbkit.sim.engine import TooManyEvents
from lbkit.sim.runs import simulate
from lbkit.sim.simulation import Simulation

__all__ = ["Simulation", "TooManyEvents", "simulate"]

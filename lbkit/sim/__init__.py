"""The simulator: an experiment in virtual time, deterministic, on one core, without sockets."""

from lbkit.sim.engine import TooManyEvents
from lbkit.sim.simulation import Simulation, simulate

__all__ = ["Simulation", "TooManyEvents", "simulate"]

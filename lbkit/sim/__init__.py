"""The simulator: an experiment in virtual time, deterministic, on one core, without sockets."""

from lbkit.sim.simulation import AlgorithmError, Simulation, simulate

__all__ = ["AlgorithmError", "Simulation", "simulate"]

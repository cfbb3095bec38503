"""Experiments on real processes and real sockets, on this machine."""

from lbkit.live.fleet import FleetError, LocalFleet
from lbkit.live.load import Load, LoadError
from lbkit.live.session import LiveSession, run_live

__all__ = ["FleetError", "LiveSession", "Load", "LoadError", "LocalFleet", "run_live"]

"""Experiments on real processes and real sockets, on this machine."""

from lbkit.live.fleet import FleetError, LocalFleet
from lbkit.live.load import Load, LoadError
from lbkit.live.peers import PEERS, PeerError, config_lines, notes, render
from lbkit.live.session import LiveSession, run_live

__all__ = [
    "PEERS",
    "FleetError",
    "LiveSession",
    "Load",
    "LoadError",
    "LocalFleet",
    "PeerError",
    "config_lines",
    "notes",
    "render",
    "run_live",
]

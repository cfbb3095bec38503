"""Experiments on real processes and real sockets, on this machine."""

from lbkit.live.browser import Browser
from lbkit.live.docker import DockerFleet, build_image
from lbkit.live.fleet import Fleet, FleetError
from lbkit.live.front import config_lines
from lbkit.live.load import Load, LoadError
from lbkit.live.local_fleet import LocalFleet
from lbkit.live.peers import PEERS, PeerError, notes, render
from lbkit.live.session import LiveSession, run_live

__all__ = [
    "PEERS",
    "Browser",
    "DockerFleet",
    "Fleet",
    "FleetError",
    "LiveSession",
    "Load",
    "LoadError",
    "LocalFleet",
    "PeerError",
    "build_image",
    "config_lines",
    "notes",
    "render",
    "run_live",
]

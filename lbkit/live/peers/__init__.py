"""Real load balancers (nginx, HAProxy, Apache, Caddy), configured from an experiment and run as its front."""

from __future__ import annotations

from lbkit.core import Backend
from lbkit.core.text import unknown
from lbkit.experiment import Experiment
from lbkit.live.peers.apache import Apache
from lbkit.live.peers.base import Peer
from lbkit.live.peers.caddy import Caddy
from lbkit.live.peers.errors import PeerError
from lbkit.live.peers.haproxy import Haproxy
from lbkit.live.peers.nginx import Nginx

PEERS: dict[str, type[Peer]] = {cls.name: cls for cls in (Nginx, Haproxy, Apache, Caddy)}

__all__ = ["PEERS", "Peer", "PeerError", "notes", "render"]


def _example(experiment: Experiment, program: str, layer: int = 7) -> Peer:
    """Return a peer with example addresses: servers on ports from 9001, the program on 8080."""
    if program not in PEERS:
        raise ValueError(unknown(program, PEERS, "program"))
    peer = PEERS[program](experiment, layer)
    peer.port, peer.admin_port = 8080, 2019
    backends = (
        Backend(s.name, weight=s.weight, host="127.0.0.1", port=9001 + i, pool=s.pool)
        for i, s in enumerate(experiment.leaves)
    )
    peer.place(backends)
    return peer


def render(experiment: Experiment, program: str, layer: int = 7) -> str:
    """Return the configuration with which `program` runs the experiment; to read, not to run.

    `layer`: 7, or 4, on which nginx (stream) and HAProxy (mode tcp) forward connections unread. Raises
    PeerError for what the program cannot do, ValueError for an unknown program."""
    return _example(experiment, program, layer).config()


def notes(experiment: Experiment, program: str) -> list[str]:
    """Return the differences between `program` and the experiment. Raises as `render`."""
    return _example(experiment, program).notes()

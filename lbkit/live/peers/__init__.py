"""The chapter's real programs, configured from an experiment and run as its front."""

from __future__ import annotations

from lbkit.core import Backend
from lbkit.experiment import Experiment
from lbkit.live.peers.apache import Apache
from lbkit.live.peers.base import Peer
from lbkit.live.peers.caddy import Caddy
from lbkit.live.peers.errors import PeerError
from lbkit.live.peers.haproxy import Haproxy
from lbkit.live.peers.nginx import Nginx

PEERS: dict[str, type[Peer]] = {cls.name: cls for cls in (Nginx, Haproxy, Apache, Caddy)}

__all__ = ["PEERS", "Peer", "PeerError", "notes", "render"]


def _placed(experiment: Experiment, program: str, layer: int = 7) -> Peer:
    """As if its servers listened on ports from 9001 on, and the program on 8080."""
    if program not in PEERS:
        raise ValueError(f"no program {program!r}: there are {', '.join(PEERS)}")
    peer = PEERS[program](experiment, layer)
    peer.port, peer.admin_port = 8080, 2019
    backends = (
        Backend(s.name, weight=s.weight, host="127.0.0.1", port=9001 + i)
        for i, s in enumerate(experiment.servers)
    )
    peer.place(backends)
    return peer


def render(experiment: Experiment, program: str, layer: int = 7) -> str:
    """The configuration that makes `program` do what the experiment says; to read, not to run.

    `layer`: 7, or 4 where nginx (stream) and HAProxy (mode tcp) pass on connections unread. Raises PeerError
    for what it cannot do, ValueError for a program that there is not."""
    return _placed(experiment, program, layer).config()


def notes(experiment: Experiment, program: str) -> list[str]:
    """Where `program` is not quite what the experiment says. Raises as `render`."""
    return _placed(experiment, program).notes()

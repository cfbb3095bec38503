"""The servers and tiers of an experiment as a tree of processes on loopback."""

from __future__ import annotations

import signal
from typing import Any, Self

from attrs import evolve

from lbkit.core import Backend
from lbkit.experiment import Action, Experiment
from lbkit.live.fleet import FleetError, backend
from lbkit.live.local_fleet import LocalFleet
from lbkit.live.peers import PEERS
from lbkit.live.peers.base import Peer
from lbkit.live.tier_process import OwnTier
from lbkit.run import EngineError, require
from lbkit.server import Server
from lbkit.tier import LBKIT, Node, Tier

MOST_TIERS = 40  # each is a process, or several


def check_tiers(experiment: Experiment, on: str) -> None:
    """Raise EngineError for tiers that cannot run on real sockets."""
    tiers = experiment.tiers
    if not tiers:
        return
    if on == "docker":
        raise EngineError("tiers are processes of this machine: use on='live', 'nginx' or 'haproxy'")
    if experiment.geography:
        raise EngineError("geography: live tiers have no places: use Tier.distance, or on='sim'")
    if len(tiers) > MOST_TIERS:
        raise EngineError(f"there are {len(tiers)} tiers, and each is a process: use {MOST_TIERS} or fewer")
    for tier in tiers:
        if tier.ttl is not None:
            raise EngineError(f"tier {tier.name!r} has a ttl: name servers are only simulated; use on='sim'")
        if tier.program != LBKIT:
            require(tier.program)
    names = {tier.name for tier in tiers}
    if any(event.action is Action.DELAY and event.server in names for event in experiment.timeline):
        raise EngineError("delay: tiers have no simulated network on real sockets; use on='sim'")


class PeerTier:
    """A real program as a tier, with the interface of OwnTier."""

    def __init__(self, name: str, peer: Peer) -> None:
        self.name = name
        self.peer = peer
        self.start_time = 0.0

    def start(self, backends: list[Backend]) -> None:
        self.peer.start(backends)

    def restart(self) -> None:
        self.peer.launch_again()

    @property
    def port(self) -> int:
        return self.peer.port

    @property
    def alive(self) -> bool:
        return bool(self.peer._processes())

    def crash(self) -> None:
        self.peer.signal(signal.SIGKILL)

    def freeze(self) -> None:
        self.peer.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.peer.signal(signal.SIGCONT)

    def stop(self) -> None:
        self.thaw()  # a stopped process ignores SIGTERM
        self.peer.stop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.peer, name)


class TreeFleet(LocalFleet):
    """The servers of an experiment, and the tiers between them and its own balancer."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.tiers: dict[str, OwnTier | PeerTier] = {}
        self.above: dict[str, str] = {}  # node -> the tier above it
        self._insides: list[Experiment] = []
        self._build(experiment)
        distances = dict(_distances(experiment.servers))
        super().__init__(
            [evolve(server, delay=server.delay + distances[server.name]) for server in experiment.leaves],
            experiment.seed,
        )
        if any(_checked(above) for above in (experiment, *self._insides)):
            self._note("checks: a tier passes them on to one of its servers, and counts them as requests")
        if any(tier.distance for tier in experiment.tiers):
            self._note("distance: added to the delay of the servers below, as loopback has none")

    def _build(self, experiment: Experiment) -> None:
        for node in experiment.servers:
            if not isinstance(node, Tier):
                continue
            inside = experiment.inside(node)
            self._insides.append(inside)
            self.above |= {below.name: node.name for below in node.servers}
            self.tiers[node.name] = (
                OwnTier(node.name, inside)
                if node.program == LBKIT
                else PeerTier(node.name, PEERS[node.program](inside))
            )
            self._build(inside)

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the servers, then the tiers from the lowest up. Raises FleetError."""
        super().start()
        try:
            self._start(self.experiment.servers)
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self, nodes: tuple[Node, ...]) -> None:
        for node in nodes:
            if isinstance(node, Tier):
                self._start(node.servers)
                self.tiers[node.name].start([self._backend(below) for below in node.servers])

    def _backend(self, node: Node) -> Backend:
        return backend(node, self.port(node.name))

    def backends(self) -> list[Backend]:
        return [self._backend(node) for node in self.experiment.servers]

    def stop(self) -> None:
        for tier in self.tiers.values():
            tier.stop()
        super().stop()

    # -- nodes by name -----------------------------------------------------------------------------

    def front_of(self, name: str) -> Any:
        """Return the tier above a node; None if that is the experiment's own balancer."""
        return self.tiers.get(self.above.get(name, ""))

    def port(self, name: str) -> int:
        return self.tiers[name].port if name in self.tiers else super().port(name)

    def check(self, name: str) -> Server:
        return Server(name) if name in self.tiers else super().check(name)

    def alive(self) -> dict[str, bool]:
        return super().alive() | {name: tier.alive for name, tier in self.tiers.items()}

    @property
    def start_times(self) -> dict[str, float]:
        return super().start_times | {name: tier.start_time for name, tier in self.tiers.items()}

    def crash(self, name: str) -> None:
        if name not in self.tiers:
            super().crash(name)
            return
        self.tiers[name].crash()
        self.hung.discard(name)

    def recover(self, name: str, at: float = 0.0) -> None:
        if name not in self.tiers:
            super().recover(name, at)
        elif name in self.hung:
            self.hung.discard(name)
            self._thaw(name)
        elif not self.tiers[name].alive:
            self.tiers[name].restart()

    def disturb(self, name: str, **settings: Any) -> None:
        if name in self.tiers:
            raise FleetError(f"{name!r} is a tier: use crash or hang")
        super().disturb(name, **settings)

    def _freeze(self, name: str) -> None:
        if name in self.tiers:
            self.tiers[name].freeze()
        else:
            super()._freeze(name)

    def _thaw(self, name: str) -> None:
        if name in self.tiers:
            self.tiers[name].thaw()
        else:
            super()._thaw(name)


def _checked(above: Experiment) -> bool:
    """Return whether a balancer sends health checks to a tier."""
    checks = above.policy.health and above.policy.health.checks
    return bool(checks) and any(isinstance(node, Tier) for node in above.servers)


def _distances(nodes: tuple[Node, ...], so_far: float = 0.0) -> list[tuple[str, float]]:
    """Return each server's name, with the sum of the distances of the tiers above it in seconds."""
    found = []
    for node in nodes:
        if isinstance(node, Tier):
            found += _distances(node.servers, so_far + node.distance)
        else:
            found.append((node.name, so_far))
    return found

"""The servers and tiers of an experiment as processes: a tree on loopback."""

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
    """Raise EngineError for tiers that are not possible on real sockets."""
    tiers = experiment.tiers
    if not tiers:
        return
    if on == "docker":
        raise EngineError("tiers are processes of this machine: use on='live', 'nginx' or 'haproxy'")
    if experiment.geography:
        raise EngineError("geography: tiers do not know where they are: use Tier.distance, or on='sim'")
    if len(tiers) > MOST_TIERS:
        raise EngineError(f"there are {len(tiers)} tiers, and each is a process: use {MOST_TIERS} or fewer")
    for tier in tiers:
        if tier.ttl is not None:
            raise EngineError(f"tier {tier.name!r} has a ttl: names are simulated only; use on='sim'")
        if tier.program != LBKIT:
            require(tier.program)
    names = {tier.name for tier in tiers}
    if any(event.action is Action.DELAY and event.server in names for event in experiment.timeline):
        raise EngineError("delay: there is no network before a tier here; use on='sim'")


class PeerTier:
    """A real program as a tier, with what an OwnTier has."""

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
        self.thaw()  # what is stopped does not end when it is asked to
        self.peer.stop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.peer, name)


class TreeFleet(LocalFleet):
    """The servers below an experiment's own balancer, and the tiers between."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.tiers: dict[str, OwnTier | PeerTier] = {}
        self.above: dict[str, str] = {}  # node -> the tier that it is in
        self._insides: list[Experiment] = []
        self._build(experiment)
        ways = dict(_ways(experiment.servers, 0.0))
        super().__init__(
            [evolve(server, delay=server.delay + ways[server.name]) for server in experiment.leaves],
            experiment.seed,
        )
        if any(_checked(above) for above in (experiment, *self._insides)):
            self._note("checks of a tier pass through it to one of its servers, and count as its requests")
        if any(tier.distance for tier in experiment.tiers):
            self._note("distance: servers wait for it, as there is no network before tiers")

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
        """Start the servers, and then each tier after those below it."""
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
        """Return the tier that a node is in; None for those of the experiment's own balancer."""
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
            raise FleetError(f"{name!r} is a tier, which can only crash and hang here")
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
    """Return whether a balancer checks a tier."""
    checks = above.policy.health and above.policy.health.checks
    return bool(checks) and any(isinstance(node, Tier) for node in above.servers)


def _ways(nodes: tuple[Node, ...], way: float) -> list[tuple[str, float]]:
    """Return the seconds on the way to each server that are those of tiers."""
    found = []
    for node in nodes:
        found += _ways(node.servers, way + node.distance) if isinstance(node, Tier) else [(node.name, way)]
    return found

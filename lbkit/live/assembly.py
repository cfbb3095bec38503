"""The parts of a live session that an experiment and an engine need, and what neither can do."""

from __future__ import annotations

from typing import Any

from lbkit.arrivals import Sessions
from lbkit.experiment import Experiment
from lbkit.experiment.traffic import HTTP2
from lbkit.layer4 import ONE
from lbkit.live.docker import DockerFleet
from lbkit.live.fleet import Fleet
from lbkit.live.front import OwnProxy
from lbkit.live.local_fleet import LocalFleet
from lbkit.live.peers import PEERS
from lbkit.live.relay import OwnRelay
from lbkit.live.tree import TreeFleet, check_tiers
from lbkit.needs import why_not
from lbkit.run import EngineError


def own(experiment: Experiment, spans: Any = None) -> OwnProxy:
    """Return lbkit's proxy for the experiment's layer; at layer 7, `spans` gets what it traces.

    Raises EngineError without the packages for that."""
    if experiment.layer4:
        return OwnRelay(experiment)
    if spans is not None and (reason := why_not("tracing")):
        raise EngineError(f"spans: {reason}")
    proxy = OwnProxy(experiment)
    proxy.spans = spans
    return proxy


def fleet(experiment: Experiment, on: str) -> Fleet:
    """Return the servers; behind layer 4 they speak what clients do."""
    if on == "docker":
        return DockerFleet(experiment.leaves, experiment.seed)
    if experiment.tiers:
        return TreeFleet(experiment)
    http2 = experiment.layer4 is not None and experiment.traffic.http == HTTP2
    return LocalFleet(experiment.leaves, experiment.seed, http2=http2, geography=experiment.geography)


def check(experiment: Experiment, on: str) -> None:
    """Raise EngineError for what these servers and this load cannot do."""
    check_tiers(experiment, on)
    checks = experiment.policy.health and experiment.policy.health.checks
    if on == "docker" and experiment.deploy:
        raise EngineError("containers keep their version here: use another engine, or deploy=None")
    if on == "docker" and experiment.geography:
        raise EngineError("geography: containers do not know how far away they are: use on='live'")
    http2 = experiment.traffic.http == HTTP2
    if experiment.layer4 and experiment.layer4.connections == ONE and not http2:
        raise EngineError("layer4.connections='one' needs clients with HTTP/2: use traffic.http='2'")
    if http2 and (reason := why_not("http2")):
        raise EngineError(f"traffic.http is '2': {reason}")
    if http2 and experiment.layer4 and on == "docker":
        raise EngineError("containers speak HTTP/1.1 here: use on='live'")
    if experiment.tls and (reason := why_not("cert")):
        raise EngineError(f"tls: {reason}")
    if checks and checks.probe.kind == "grpc" and on not in PEERS:
        raise EngineError("these servers have no gRPC service: use probe.kind 'http', or on='sim'")


def shares_state(experiment: Experiment, on: str) -> bool:
    """Return whether the servers share sessions in a Redis. Raises EngineError if that is impossible."""
    arrivals = experiment.traffic.arrivals
    if not isinstance(arrivals, Sessions) or arrivals.state != "shared":
        return False
    if on == "docker":
        raise EngineError("containers cannot reach a Redis on loopback: use processes, or state='memory'")
    if reason := why_not("redis"):
        raise EngineError(f"sessions with state='shared' are kept in Redis: {reason}")
    return True

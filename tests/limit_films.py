"""Runs with limits, for films: the door of the balancer."""

from __future__ import annotations

from lbkit import Admission, Event, Experiment, Exponential, OnOff, Poisson, RateLimit, Traffic, servers


def limiter() -> Experiment:
    """A token bucket for each of three clients; one sends most of the requests."""
    traffic = Traffic(Poisson(40), 5.0, clients=3, client_skew=1.2)
    limits = [RateLimit({"kind": "token_bucket", "rate": 8, "burst": 5}, key="client")]
    return Experiment(servers(2, service=Exponential(0.04)), traffic, limits=limits, seed=1, name="limiter")


def windows() -> Experiment:
    """Four limiters on four paths, with the same requests a second."""
    kinds = [
        {"kind": "fixed_window", "limit": 5, "window": 0.5},
        {"kind": "sliding_log", "limit": 5, "window": 0.5},
        {"kind": "sliding_counter", "limit": 5, "window": 0.5},
        {"kind": "leaky_bucket", "rate": 10, "capacity": 5},
    ]
    limits = [RateLimit(kind, key="path", path=f"/item/{i}") for i, kind in enumerate(kinds)]
    traffic = Traffic(Poisson(60), 4.0, clients=4, paths=4)
    return Experiment(servers(3, service=Exponential(0.04)), traffic, limits=limits, seed=2, name="windows")


def shaper() -> Experiment:
    """Bursts, and a leaky bucket as a queue that makes a steady stream of them."""
    limits = [RateLimit({"kind": "leaky_queue", "rate": 20, "capacity": 10}, key="global")]
    traffic = Traffic(OnOff(60, on=0.5, off=1.0), 5.0, clients=3)
    return Experiment(servers(2, service=Exponential(0.04)), traffic, limits=limits, seed=4, name="shaper")


def pace() -> Experiment:
    """The same bursts, before a gate with a rate, whose queue is fair to each client."""
    gate = Admission(rate=20, burst=3, queue="fair", max_queue=15, timeout=0.6)
    return shaper().but(limits=(), admission=gate, name="pace", client_skew=1.5)


def gate() -> Experiment:
    """A limit of requests at once that adapts, and a queue by priority; a server is slow for a while."""
    gate = Admission(
        limit={"kind": "aimd", "initial": 6, "timeout": 0.2, "shares": {"low": 0.7}},
        queue="priority",
        max_queue=12,
        timeout=0.4,
        priorities={"/item/0": "high", "/item/1": "low"},
    )
    events = [Event(2.0, "slow", "s1", 0.3), Event(3.5, "recover", "s1")]
    traffic = Traffic(Poisson(70), 6.0, clients=4, paths=3)
    fleet = servers(2, workers=2, service=Exponential(0.05))
    return Experiment(fleet, traffic, "least_connections", events, admission=gate, seed=5, name="gate")


def codel() -> Experiment:
    """Too many requests for two at once: a queue that keeps the wait near a target by dropping some."""
    limit = {"kind": "concurrency_limit", "limit": 2}
    gate = Admission(limit=limit, queue="codel", target=0.02, max_queue=50, timeout=9.0)
    traffic = Traffic(Poisson(60), 4.0, clients=4)
    fleet = servers(1, workers=2, service=Exponential(0.05))
    return Experiment(fleet, traffic, admission=gate, name="codel")


EXPERIMENTS = {
    "limiter": limiter(),
    "windows": windows(),
    "shaper": shaper(),
    "pace": pace(),
    "gate": gate(),
    "codel": codel(),
}

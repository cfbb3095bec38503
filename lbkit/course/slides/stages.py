"""What slides show alive: small experiments, alone or two side by side on the same requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lbkit import (
    Burst,
    Caching,
    CheckRules,
    Constant,
    Event,
    Experiment,
    Exponential,
    HealthRules,
    Layer4,
    MaxFailsRules,
    Patience,
    Poisson,
    Policy,
    RateLimit,
    Server,
    Sessions,
    Sticky,
    Traffic,
    servers,
)
from lbkit.core.drain import DrainRules
from lbkit.core.text import unknown
from lbkit.topology import six_layers

Stage = Sequence[Experiment]


def turns() -> Stage:
    crowd = Traffic(Poisson(12), duration=10, clients=6)
    unequal = servers(3, speed=[1, 1, 0.25], service=Exponential(0.1))
    return [Experiment(unequal, crowd, policy, seed=1) for policy in ("round_robin", "least_connections")]


def one_server() -> Stage:
    return [Experiment(servers(1, service=Exponential(0.1)), Traffic(Poisson(12), 10, clients=6), seed=1)]


def half_and_busy() -> Stage:
    one = Experiment(servers(1, service=Exponential(0.1)), Traffic(duration=15, clients=6), seed=3)
    return [one.at_load(load).but(name=f"load {load:.0%}") for load in (0.5, 0.95)]


def fast_failer() -> Stage:
    fleet = [*servers(3, service=Exponential(0.1)), Server("broken", error_rate=1.0)]
    crowd = Traffic(Poisson(15), duration=8, clients=6)
    base = Experiment(fleet, crowd, Policy("least_connections", retries=0), seed=2)
    out = HealthRules(max_fails=MaxFailsRules(max_fails=3, fail_timeout=30))
    guarded = Policy("least_connections", retries=0, health=out)
    return [base.but(name="least connections"), base.but(name="out after three failures", policy=guarded)]


def ring() -> Stage:
    leaves = [Event(5, "remove", "s4")]
    crowd = Traffic(Poisson(25), duration=9, clients=3, paths=30)
    fleet = servers(4, service=Exponential(0.06))
    policies = Policy("consistent_hash", {"points": 12}), Policy("modulo_hash")
    return [Experiment(fleet, crowd, policy, leaves, seed=1) for policy in policies]


def one_proxy() -> Stage:
    """A server is replaced, and then one crashes, behind one address."""
    crowd = Traffic(Poisson(15), duration=9, clients=6)
    happens = [Event(3, "remove", "s2"), Event(3, "add", "s4"), Event(6, "crash", "s1")]
    return [Experiment(servers(4, service=Exponential(0.1)), crowd, "round_robin", happens, seed=1)]


def layers() -> Stage:
    crowd = Traffic(duration=8, clients=1)
    one = Experiment(servers(4, service=Exponential(0.1)), crowd, "least_connections", seed=1).at_load(0.5)
    return [one.but(name="layer 4", layer4=Layer4("one")), one.but(name="layer 7")]


def newcomer() -> Stage:
    crowd = Traffic(Sessions(20 / 12, 12, think=0.4), duration=10, clients=8)
    fleet, joins = servers(4, workers=2, service=Exponential(0.1)), [Event(5, "add", "s4")]
    ways = {"free": None, "sticky": Sticky()}
    made = Experiment(fleet, crowd, "round_robin", joins, seed=4)
    return [made.but(policy=Policy("round_robin", sticky=way), name=name) for name, way in ways.items()]


def _crashing(name: str, checks: CheckRules | None) -> Experiment:
    policy = Policy("round_robin", retries=0, health=HealthRules(checks=checks) if checks else None)
    crowd = Traffic(duration=10, clients=6)
    fleet = servers(3, workers=2, service=Exponential(0.1))
    return Experiment(fleet, crowd, policy, [Event(3, "crash", "s2")], seed=1, name=name).at_load(0.4)


def crash() -> Stage:
    checks = CheckRules(interval=1, timeout=0.5, fall=3, rise=2)
    return [_crashing("no checks", None), _crashing("a probe a second", checks)]


def leaving() -> Stage:
    fleet = servers(3, workers=3, service=Exponential(0.4))
    policy = Policy("least_connections", retries=0, drain=DrainRules(timeout=10))
    base = Experiment(fleet, Traffic(duration=9, clients=6), policy, seed=2).at_load(0.5)
    ways = {"stopped": ("remove", "crash"), "drained": ("drain",)}
    return [base.but(events=[Event(4, a, "s2") for a in actions], name=n) for n, actions in ways.items()]


def flood() -> Stage:
    crowd = Traffic(Poisson(8), duration=8, clients=4, bursts=[Burst(3.0, 0, 40, 40.0)])
    base = Experiment(servers(2, service=Exponential(0.1)), crowd, "least_connections", seed=1)
    limit = RateLimit({"kind": "token_bucket", "rate": 5, "burst": 5}, key="client")
    return [base.but(name="no limit"), base.but(name="a bucket for each client", limits=[limit])]


def storm() -> Stage:
    """The servers are slow from second 2 to 4; people who get no answer in time click again, or do not."""
    fleet = servers(3, service=Constant(0.05))
    events = [Event(2, "slow", s.name, 0.1) for s in fleet] + [Event(4, "recover", s.name) for s in fleet]
    made = []
    for name, clicks in {"nobody clicks again": 0, "three more clicks": 3}.items():
        crowd = Traffic(duration=12, clients=6, patience=Patience(timeout=0.5, retries=clicks))
        made.append(Experiment(fleet, crowd, "least_connections", events, seed=1, name=name).at_load(0.6))
    return made


def stampede() -> Stage:
    crowd = Traffic(Poisson(60), duration=5, clients=5, paths=1)
    base = Experiment(servers(3, workers=2, service=Constant(0.25)), crowd, "least_connections", seed=1)
    ways = {"each fetches for itself": False, "one fetches for all": True}
    return [base.but(name=name, cache=Caching("max-age=2", coalesce=way)) for name, way in ways.items()]


def slow_one() -> Stage:
    fleet = servers(8, workers=4, service=Exponential(0.1))
    slow = [Event(2, "slow", "s3", 0.15)]
    return [Experiment(fleet, Traffic(duration=8, clients=6), "round_robin", slow, seed=1).at_load(0.15)]


def tree() -> Stage:
    """Balancers upon balancers, and a farm that breaks."""
    site = (
        six_layers(managers=1, regions=1, zones=2, farms=1, servers=2)
        .at_load(0.15)
        .but(duration=20, clients=6)
    )
    return [site.but(events=[Event(6, "crash", "farm-1a")])]


STAGES: dict[str, Callable[[], Stage]] = {
    made.__name__.replace("_", "-"): made
    for made in (
        turns, one_server, half_and_busy, fast_failer, ring, one_proxy, layers, newcomer, crash, leaving,
        flood, storm, stampede, slow_one, tree,
    )
}  # fmt: skip


def stage(name: str, folder: Path) -> Stage:
    """Return the experiments of a stage, by its name or by a file in a folder. Raises ValueError, OSError."""
    if name in STAGES:
        return STAGES[name]()
    if not name.endswith((".toml", ".json")):
        raise ValueError(unknown(name, STAGES, "stage") + "; or the file of an experiment")
    return [Experiment.load_file(folder / name)]

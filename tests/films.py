"""Runs for films, and a folder of films in files: python tests/films.py FOLDER."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import limit_films

from lbkit import (
    Event,
    Experiment,
    Exponential,
    Policy,
    RateLimit,
    RequestKind,
    Server,
    Sessions,
    Sticky,
    Traffic,
    run,
    servers,
)
from lbkit.caching import Caching
from lbkit.core.cache import CacheRules
from lbkit.core.health import BreakerRules, CheckRules, HealthRules, MaxFailsRules, OutlierRules
from lbkit.core.retry import Backoff, Hedge, Retry, RetryBudgetRules
from lbkit.core.routing import DEFAULT, Fixed, Routing, Rule, Split, ToPool, When
from lbkit.patience import Patience
from lbkit.result import Result
from lbkit.topology import six_layers
from lbkit.viz.theatre import film


def unequal(policy: str = "least_connections", duration: float = 10.0) -> Experiment:
    """Three unequal servers; the middle one crashes, and comes back."""
    fleet = [
        Server("fast", workers=2, speed=2.0),
        Server("slow", workers=2),
        Server("old", speed=0.5, queue=5),
    ]
    events = [Event(3.0, "crash", "slow"), Event(5.0, "recover", "slow")]
    traffic = Traffic(duration=duration, clients=12)
    return Experiment(fleet, traffic, policy, events, seed=3).at_load(0.8)


def stormy() -> Experiment:
    """Retries, hedges, a breaker, a drain, a rate limit, and clients that leave."""
    fleet = [
        Server("a", queue=3, cancels=True),
        Server("b", error_rate=0.2),
        Server("c", discipline="processor_sharing"),
    ]
    events = [Event(1.0, "slow", "a", 0.2), Event(2.5, "recover", "a"), Event(3.0, "drain", "c")]
    retry = Retry(hedge=Hedge(0.1), statuses=(500, 503))
    health = HealthRules(breaker=BreakerRules(minimum=5, open_for=1.0))
    return Experiment(
        fleet,
        Traffic(duration=5.0, clients=3, patience=Patience(timeout=0.4, retries=1)),
        Policy("round_robin", retry=retry, health=health),
        events,
        limits=[RateLimit({"kind": "token_bucket", "rate": 25, "burst": 10}, key="client")],
        name="stormy",
    ).at_load(0.9)


def keyed(policy: str, load: float = 0.45, **options: Any) -> Experiment:
    """Keys move: a server is removed and comes back, one crashes, and one gets more weight."""
    events = [Event(1.5, "remove", "s2"), Event(3.0, "add", "s2"), Event(4.0, "crash", "s4")]
    events += [Event(6.0, "recover", "s4"), Event(8.5, "set_weight", "s1", 3.0)]
    checks = CheckRules(interval=0.3, timeout=0.2, rise=1, fall=2)
    return Experiment(
        servers(5, workers=2),
        Traffic(duration=10.0, clients=6, paths=36, path_skew=0.6),
        Policy(policy, options, key="path", health=HealthRules(checks=checks)),
        events,
        seed=3,
    ).at_load(load)


def cached() -> Experiment:
    """A cache in front that is too small for all, lets requests follow others, and serves what is stale."""
    rules = CacheRules(max_bytes=40_000, stale_while_revalidate=0.6)
    return Experiment(
        servers(3, service=Exponential(0.25)),
        Traffic(duration=6.0, clients=6, paths=16, path_skew=1.0),
        Policy("least_connections"),
        cache=Caching("max-age=1", rules=rules),
        name="a cache in front",
        seed=3,
    ).at_load(2.5)


SLOW = Exponential(0.1)  # seconds of service: each request can be followed


def checked() -> Experiment:
    """Health checks find a crash and a server that hangs; outliers are ejected; too few are left: panic."""
    fleet = [Server(name, workers=2, service=SLOW) for name in ("a", "b", "c", "d")]
    events = [
        Event(2.0, "crash", "b"),
        Event(3.2, "fail", "c", 0.9),
        Event(4.5, "hang", "d"),
        Event(4.6, "crash", "c"),
        Event(7.0, "recover", "b"),
        Event(7.0, "recover", "c"),
        Event(7.2, "recover", "d"),
    ]
    health = HealthRules(
        checks=CheckRules(interval=0.5, timeout=0.4),
        outliers=OutlierRules(consecutive=3, base_ejection=1.5, interval=0.5, max_ejected=0.5),
    )
    policy = Policy("round_robin", health=health, panic=0.5, retry=Retry(statuses=(500, 503)))
    return Experiment(fleet, Traffic(duration=10, clients=5), policy, events, name="health checks").at_load(
        0.5
    )


def sticky() -> Experiment:
    """Sessions stay on their servers; one server dies, and one is drained."""
    fleet = [Server(name, workers=2, service=SLOW) for name in ("a", "b", "c")]
    events = [
        Event(3.0, "crash", "b"),
        Event(5.0, "recover", "b"),
        Event(6.5, "drain", "c"),
        Event(8.5, "undrain", "c"),
    ]
    policy = Policy(
        "round_robin", sticky=Sticky(drain=False), health=HealthRules(max_fails=MaxFailsRules(1, 2.0))
    )
    traffic = Traffic(Sessions(rate=1.5, requests=10, think=0.3), duration=10, clients=8)
    return Experiment(fleet, traffic, policy, events, seed=2, name="sticky sessions")


def breaking() -> Experiment:
    """A server fails: its breaker opens, tries again, and closes; a budget bounds the retries."""
    fleet = [Server(name, workers=2, service=SLOW) for name in ("a", "b", "c")]
    events = [Event(1.5, "fail", "b", 0.8), Event(5.5, "recover", "b")]
    health = HealthRules(breaker=BreakerRules(minimum=6, window=2.0, open_for=1.0, probes=2))
    retry = Retry(statuses=(500,), budget=RetryBudgetRules(0.1, 4.0, 0.2), backoff=Backoff(0.05))
    policy = Policy("least_connections", retry=retry, health=health)
    return Experiment(fleet, Traffic(duration=8, clients=6), policy, events, seed=4, name="breakers").at_load(
        0.6
    )


def layered(layer: int = 7) -> Experiment:
    """Few clients with a connection each, and one that asks much: what a layer sees of it."""
    fleet = [Server(name, workers=2, service=SLOW) for name in ("a", "b", "c")]
    traffic = Traffic(duration=8, clients=5, client_skew=1.0, http="2")
    name = f"HTTP/2 at layer {layer}"
    return Experiment(fleet, traffic, "round_robin", seed=5, name=name).at_load(0.6).at_layer(layer)


def pools() -> Experiment:
    """Rules choose among three pools; a canary gets a share of the shop."""
    fleet = [
        Server("web1", workers=2, service=SLOW),
        Server("web2", workers=2, service=SLOW),
        Server("new", service=SLOW, pool="canary"),
        Server("api1", service=SLOW, pool="api"),
        Server("api2", service=SLOW, pool="api"),
    ]
    mix = [RequestKind("shop", 6, path="/shop"), RequestKind("api", 3, path="/api")]
    mix.append(RequestKind("old", 1, path="/old"))
    routing = Routing(
        [
            Rule("api", ToPool("api"), When(prefix=("/api",))),
            Rule("gone", Fixed(410), When(prefix=("/old",))),
            Rule("canary", Split({DEFAULT: 0.8, "canary": 0.2})),
        ]
    )
    traffic = Traffic(duration=6, clients=8, mix=mix)
    experiment = Experiment(fleet, traffic, "least_connections", seed=6, routing=routing, name="pools")
    return experiment.at_load(0.6)


def layers() -> Experiment:
    """A zone of six layers crashes, and so does a server elsewhere."""
    events = [Event(6, "crash", "zone-1a"), Event(9, "crash", "s7")]
    return six_layers(1, 2, 2, 1, 2).but(events=events, duration=20, clients=6)


EXPERIMENTS = {
    "small": unequal(),
    "stormy": stormy(),
    "ring": keyed("consistent_hash", points=8),
    "overflow": keyed("bounded_hash", load=0.7, points=8),
    "owners": keyed("modulo_hash"),
    "cache": cached(),
    "health": checked(),
    "sticky": sticky(),
    "breakers": breaking(),
    "layer4": layered(4),
    "layer7": layered(7),
    "pools": pools(),
    **limit_films.EXPERIMENTS,
    "layers": layers(),
}


@cache
def result_of(name: str) -> Result:
    experiment = EXPERIMENTS[name]
    return run(experiment, record=not experiment.tiers)


def save_all(folder: Path) -> None:
    for name in EXPERIMENTS:
        (folder / f"{name}.json").write_text(film(result_of(name)).to_json(), encoding="utf-8")


if __name__ == "__main__":
    save_all(Path(sys.argv[1]))

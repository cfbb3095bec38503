"""Runs for films, and a folder of films in files: python tests/films.py FOLDER."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

from lbkit import Event, Experiment, Exponential, Policy, RateLimit, Server, Traffic, run, servers
from lbkit.caching import Caching
from lbkit.core.cache import CacheRules
from lbkit.core.health import BreakerRules, CheckRules, HealthRules
from lbkit.core.retry import Hedge, Retry
from lbkit.patience import Patience
from lbkit.result import Result
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
    rules = CacheRules(max_bytes=48_000, stale_while_revalidate=0.6)
    return Experiment(
        servers(3, service=Exponential(0.12)),
        Traffic(duration=6.0, clients=6, paths=16, path_skew=1.0),
        Policy("least_connections"),
        cache=Caching("max-age=1", rules=rules),
        name="a cache in front",
        seed=3,
    ).at_load(1.5)


EXPERIMENTS = {
    "small": unequal(),
    "stormy": stormy(),
    "ring": keyed("consistent_hash", points=8),
    "overflow": keyed("bounded_hash", load=0.7, points=8),
    "owners": keyed("modulo_hash"),
    "cache": cached(),
}


@cache
def result_of(name: str) -> Result:
    return run(EXPERIMENTS[name], record=True)


def save_all(folder: Path) -> None:
    for name in EXPERIMENTS:
        (folder / f"{name}.json").write_text(film(result_of(name)).to_json(), encoding="utf-8")


if __name__ == "__main__":
    save_all(Path(sys.argv[1]))

"""Runs for films, and a folder of films in files: python tests/films.py FOLDER."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from lbkit import Event, Experiment, Policy, RateLimit, Server, Traffic, run
from lbkit.core.health import BreakerRules, HealthRules
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


EXPERIMENTS = {"small": unequal(), "stormy": stormy(), "ring": unequal("consistent_hash").but(clients=5)}


@cache
def result_of(name: str) -> Result:
    return run(EXPERIMENTS[name], record=True)


def save_all(folder: Path) -> None:
    for name in EXPERIMENTS:
        (folder / f"{name}.json").write_text(film(result_of(name)).to_json(), encoding="utf-8")


if __name__ == "__main__":
    save_all(Path(sys.argv[1]))

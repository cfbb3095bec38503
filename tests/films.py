"""Runs for films, and a folder of films in files: python tests/films.py FOLDER."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from lbkit import Event, Experiment, Server, Traffic, run
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


EXPERIMENTS = {
    "small": unequal(duration=10.0),
    "round_robin": unequal("round_robin"),
}


@cache
def result_of(name: str) -> Result:
    return run(EXPERIMENTS[name])


def save_all(folder: Path) -> None:
    for name in EXPERIMENTS:
        (folder / f"{name}.json").write_text(film(result_of(name)).to_json(), encoding="utf-8")


if __name__ == "__main__":
    save_all(Path(sys.argv[1]))

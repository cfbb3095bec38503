"""Make the recording at the top of README anew: `make pictures`. Needs Chromium."""

from __future__ import annotations

from pathlib import Path

from lbkit import Experiment, Exponential, Poisson, Traffic, run, servers
from lbkit.viz import Theatre

HERE = Path(__file__).parent


def main() -> None:
    crowd = Traffic(Poisson(12), duration=10, clients=6)
    unequal = servers(3, speed=[1, 1, 0.25], service=Exponential(0.1))
    policies = "round_robin", "least_connections"
    results = [run(Experiment(unequal, crowd, policy, seed=1), record=True) for policy in policies]
    print(Theatre(*results).save(HERE / "theatre.gif", start=2.5, seconds=8, fps=10, width=1000))


if __name__ == "__main__":
    main()

"""Agreement: mean latency behind real programs, next to the simulator's version of their algorithms.

`python -m benchmarks.agreement` prints one table, `--json` one object. It has the algorithms that a program
does in a way of its own (`own_ways`). Program and simulator get the same arrivals and the same work; the
last column shows how far off the simulator is with our algorithm of that name.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

from benchmarks.harness import options, report
from lbkit import Backend, Experiment, Exponential, Policy, Server, Traffic, run
from lbkit.live.peers import PEERS
from lbkit.needs import why_not

LOAD = 0.65
SERVICE = 0.05  # seconds; long, so that the milliseconds of sockets and of the load generator count little
SPEEDS = (2, 1, 1, 1)


@dataclass(frozen=True)
class Row:
    """One algorithm of one program; mean latencies in seconds."""

    program: str
    algorithm: str
    simulated: str  # the simulator's version of what the program does
    live: float
    own: float
    ours: float

    @property
    def off(self) -> float:
        """How far the program's mean latency is from the simulator's version of its algorithm."""
        return self.live / self.own - 1

    @property
    def off_ours(self) -> float:
        return self.live / self.ours - 1


def crowd(policy: Policy | str, duration: float, seed: int) -> Experiment:
    fleet = [
        Server(f"s{i}", speed=s, weight=s, service=Exponential(SERVICE)) for i, s in enumerate(SPEEDS, 1)
    ]
    traffic = Traffic(duration=duration, warmup=min(1.0, duration / 4))
    return Experiment(fleet, traffic, policy=policy, seed=seed).at_load(LOAD)


def version_of(program: str, algorithm: str) -> Policy:
    """Return the simulator's policy that does what the program does."""
    peer = PEERS[program](crowd(algorithm, 1, 1))
    peer.place([Backend(f"s{i}", weight=s) for i, s in enumerate(SPEEDS, 1)])
    return peer.simulated()


def mean_latency(policy: Policy | str, on: str, duration: float, seeds: Sequence[int]) -> float:
    return mean(run(crowd(policy, duration, seed), on=on).mean for seed in seeds)


def compare(program: str, algorithm: str, duration: float, seeds: Sequence[int]) -> Row:
    own = version_of(program, algorithm)
    live = mean_latency(algorithm, program, duration, seeds)
    simulated, ours = (mean_latency(policy, "sim", duration, seeds) for policy in (own, algorithm))
    return Row(program, algorithm, str(own), live, simulated, ours)


def measure(programs: Sequence[str], duration: float, seeds: int) -> dict[str, Any]:
    rows = []
    for program in programs:
        if reason := why_not(program):
            print(f"{program}: left out, {reason}", file=sys.stderr)
            continue
        for algorithm in PEERS[program].own_ways:
            rows.append(compare(program, algorithm, duration, range(1, seeds + 1)))
    return {"rows": [asdict(r) | {"off": r.off, "off_ours": r.off_ours} for r in rows]}


def show(found: dict[str, Any]) -> None:
    print(f"{'program':<9}{'algorithm':<22}{'live':>9}{'own version':>13}{'off':>8}{'ours':>9}{'off':>8}")
    for row in found["rows"]:
        live, own, ours = (f"{1e3 * row[name]:.1f} ms" for name in ("live", "own", "ours"))
        line = f"{row['program']:<9}{row['algorithm']:<22}{live:>9}{own:>13}{row['off']:>+8.1%}"
        print(f"{line}{ours:>9}{row['off_ours']:>+8.1%}")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--duration", type=float, default=20.0, help="seconds of each run")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each algorithm")
    parser.add_argument("--programs", nargs="+", default=list(PEERS), choices=list(PEERS))
    report(parser, measure, show)


if __name__ == "__main__":
    main()

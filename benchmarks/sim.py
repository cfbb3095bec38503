"""Simulated requests a second, next to SimPy on the same model: ten M/M/1 servers, least connections.

`python -m benchmarks.sim` prints a table, `--json` one object with `ratio_vs_simpy`. The two take turns;
the ratio is that of the best rounds.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from typing import Any

import simpy

from benchmarks.harness import in_turn, options, report
from lbkit import Experiment, Exponential, Traffic, run, servers

SERVERS, LOAD, SERVICE = 10, 0.8, 0.02


def with_lbkit(requests: int) -> tuple[int, float]:
    """Requests done, mean response time in seconds."""
    experiment = Experiment(servers(SERVERS, service=Exponential(SERVICE)), policy="least_connections")
    experiment = experiment.at_load(LOAD)
    result = run(
        experiment.but(traffic=Traffic(experiment.traffic.arrivals, requests / (LOAD * SERVERS / SERVICE)))
    )
    return len(result), result.mean


def with_simpy(requests: int) -> tuple[int, float]:
    """The same, as SimPy's own examples would have it: a process a request, a Resource a server."""
    env = simpy.Environment()
    draw = random.Random(1)
    fleet = [simpy.Resource(env, 1) for _ in range(SERVERS)]
    times: list[float] = []

    def request(env: simpy.Environment) -> simpy.events.ProcessGenerator:
        arrival = env.now
        least = min(s.count + len(s.queue) for s in fleet)
        server = draw.choice([s for s in fleet if s.count + len(s.queue) == least])
        with server.request() as turn:
            yield turn
            yield env.timeout(draw.expovariate(1 / SERVICE))
        times.append(env.now - arrival)

    def arrivals(env: simpy.Environment) -> simpy.events.ProcessGenerator:
        for _ in range(requests):
            yield env.timeout(draw.expovariate(LOAD * SERVERS / SERVICE))
            env.process(request(env))

    env.process(arrivals(env))
    env.run()
    return len(times), sum(times) / len(times)


def timed(work: Callable[[int], tuple[int, float]], requests: int) -> tuple[float, float]:
    """Requests a second of processor time, mean response time."""
    gc.collect()
    start = time.process_time()
    done, mean = work(requests)
    return done / (time.process_time() - start), mean


def measure(requests: int, rounds: int) -> dict[str, Any]:
    both = {"lbkit": with_lbkit, "simpy": with_simpy}
    found = in_turn(both, lambda name: timed(both[name], requests), rounds)
    best = {name: max(rate for rate, _ in figures) for name, figures in found.items()}
    return {
        "ratio_vs_simpy": best["lbkit"] / best["simpy"],
        **{f"{name}_requests_per_s": rate for name, rate in best.items()},
        **{f"{name}_mean_s": found[name][0][1] for name in both},  # the same model: about the same answer
        "requests": requests,
        "rounds": rounds,
        "simpy": simpy.__version__,
    }


def show(found: dict[str, Any]) -> None:
    print(f"{SERVERS} M/M/1 servers, least connections, load {LOAD:.0%}, Python {found['python']}")
    print(f"{'':8}{'requests/s':>12}{'mean ms':>10}")
    for name in ("lbkit", "simpy"):
        print(f"{name:8}{found[f'{name}_requests_per_s']:12,.0f}{1e3 * found[f'{name}_mean_s']:10.2f}")
    print(f"lbkit simulates {found['ratio_vs_simpy']:.1f} times as many requests a second as SimPy")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--requests", type=int, default=100_000, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    report(parser, measure, show)


if __name__ == "__main__":
    main()

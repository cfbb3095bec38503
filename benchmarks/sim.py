"""Simulated requests a second, next to SimPy on the same model: ten M/M/1 servers, least connections.

`python -m benchmarks.sim` prints a table, `--json` one object with `ratio_vs_simpy`. The two take turns,
so that a machine that slows down slows both; the ratio is that of the best rounds.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import time
from collections.abc import Callable

import simpy

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


def measure(requests: int, rounds: int) -> dict[str, object]:
    pairs = [(timed(with_lbkit, requests), timed(with_simpy, requests)) for _ in range(rounds)]
    ours, theirs = (max(side[0] for side in sides) for sides in zip(*pairs, strict=True))
    return {
        "ratio_vs_simpy": ours / theirs,
        "lbkit_requests_per_s": ours,
        "simpy_requests_per_s": theirs,
        "lbkit_mean_s": pairs[0][0][1],  # the same model gives about the same answer
        "simpy_mean_s": pairs[0][1][1],
        "requests": requests,
        "rounds": rounds,
        "python": platform.python_version(),
        "simpy": simpy.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The simulator next to SimPy.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--requests", type=int, default=100_000, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found = measure(options.requests, options.rounds)
    if options.json:
        print(json.dumps(found))
        return
    print(f"{SERVERS} M/M/1 servers, least connections, load {LOAD:.0%}, Python {found['python']}")
    print(f"{'':8}{'requests/s':>12}{'mean ms':>10}")
    for name in ("lbkit", "simpy"):
        print(f"{name:8}{found[f'{name}_requests_per_s']:12,.0f}{1e3 * found[f'{name}_mean_s']:10.2f}")  # type: ignore[operator]
    print(f"lbkit simulates {found['ratio_vs_simpy']:.1f} times as many requests a second as SimPy")


if __name__ == "__main__":
    main()

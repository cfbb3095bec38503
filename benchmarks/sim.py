"""Simulated requests a second, next to SimPy on the same model: ten M/M/1 servers, least connections.

`python -m benchmarks.sim` prints a table, `--json` one object with `ratio_vs_simpy`. All take turns; a ratio
is that of the best rounds. Besides: round robin, each feature on its own, and Ciw if it is installed.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import simpy

from benchmarks.harness import in_turn, options, report
from lbkit import Experiment, Exponential, Policy, RateLimit, Sticky, Traffic, run, servers
from lbkit.core.health import BreakerRules, CheckRules, HealthRules
from lbkit.core.retry import Retry

SERVERS, LOAD, SERVICE = 10, 0.8, 0.02


BASE = Experiment(servers(SERVERS, service=Exponential(SERVICE)), policy="least_connections").at_load(LOAD)
ROWS = {  # name -> the experiment; each feature costs its own row only
    "lbkit": BASE,
    "round robin": BASE.but(policy="round_robin"),
    "checks": BASE.but(policy=Policy("least_connections", health=HealthRules(checks=CheckRules()))),
    "sessions": BASE.but(policy=Policy("least_connections", sticky=Sticky())),
    "retries": BASE.but(policy=Policy("least_connections", retry=Retry())),
    "breakers": BASE.but(policy=Policy("least_connections", health=HealthRules(breaker=BreakerRules()))),
    "filters": BASE.but(limits=[RateLimit({"kind": "token_bucket", "rate": 1e6, "burst": 1e6})]),
}


def with_lbkit(requests: int, experiment: Experiment = BASE, keep: str = "all") -> tuple[int, float]:
    """Requests done, mean response time in seconds."""
    traffic = Traffic(BASE.traffic.arrivals, requests / (LOAD * SERVERS / SERVICE))
    result = run(experiment.but(traffic=traffic), keep=keep)
    return len(result), result.mean


def with_ciw(requests: int) -> tuple[int, float]:
    """One queue for all servers, as Ciw has no choice by load: a tenth of the requests, as it is slow."""
    import ciw

    requests //= 10
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate=LOAD * SERVERS / SERVICE)],
        service_distributions=[ciw.dists.Exponential(rate=1 / SERVICE)],
        number_of_servers=[SERVERS],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(requests)
    times = [one.exit_date - one.arrival_date for one in simulation.get_all_records()]
    return len(times), sum(times) / len(times)


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
    candidates: dict[str, Callable[[int], tuple[int, float]]] = {
        **{name: partial(with_lbkit, experiment=experiment) for name, experiment in ROWS.items()},
        "summary": partial(with_lbkit, keep="summary"),
        "simpy": with_simpy,
    }
    if find_spec("ciw"):
        candidates["ciw"] = with_ciw
    found = in_turn(candidates, lambda name: timed(candidates[name], requests), rounds)
    best = {name: max(rate for rate, _ in figures) for name, figures in found.items()}
    return {
        "ratio_vs_simpy": best["lbkit"] / best["simpy"],
        "ratios": {name: rate / best["simpy"] for name, rate in best.items()},
        **{f"{name}_requests_per_s": rate for name, rate in best.items()},
        **{f"{name}_mean_s": figures[0][1] for name, figures in found.items()},
        "requests": requests,
        "rounds": rounds,
        "simpy": simpy.__version__,
    }


def show(found: dict[str, Any]) -> None:
    print(f"{SERVERS} M/M/1 servers, least connections, load {LOAD:.0%}, Python {found['python']}")
    print(f"{'':12}{'requests/s':>12}{'mean ms':>10}{'x SimPy':>9}")
    for name, ratio in found["ratios"].items():
        rate, mean = found[f"{name}_requests_per_s"], 1e3 * found[f"{name}_mean_s"]
        print(f"{name:12}{rate:12,.0f}{mean:10.2f}{ratio:9.1f}")
    print(f"lbkit simulates {found['ratio_vs_simpy']:.1f} times as many requests a second as SimPy")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--requests", type=int, default=100_000, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    report(parser, measure, show)


if __name__ == "__main__":
    main()

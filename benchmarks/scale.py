"""A world of servers by simulation: 5 regions x 3 zones x 200 servers, and ten million requests.

`python -m benchmarks.scale` prints the time, the memory and the latency of one run that keeps a summary, and
those of a sweep over algorithms in processes of its own; `--json` one object. With `--dask`, the sweep runs
on a Dask cluster on this machine.
"""

from __future__ import annotations

import resource
import sys
import time
from contextlib import ExitStack
from typing import Any

from benchmarks.harness import options, report
from lbkit import Experiment, Exponential, Poisson, Server, Traffic, run
from lbkit.sweep import sweep

REGIONS, ZONES, SERVERS = 5, 3, 200
LOAD, SERVICE = 0.8, 0.02  # of the servers' capacity; seconds


def world(requests: int, policy: str = "least_connections") -> Experiment:
    """An experiment of about as many requests, from 10,000 clients."""
    fleet = [
        Server(f"{region}-{zone}-{i}", service=Exponential(SERVICE), zone=f"{region}-{zone}")
        for region in range(REGIONS)
        for zone in range(ZONES)
        for i in range(SERVERS)
    ]
    rate = LOAD * len(fleet) / SERVICE
    return Experiment(fleet, Traffic(Poisson(rate), requests / rate, clients=10_000), policy)


def peak() -> float:
    """The most memory that this process has had, in MiB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)


def measure(requests: int, dask: bool) -> dict[str, Any]:
    before, start = peak(), time.process_time()
    result = run(world(requests), keep="summary")
    seconds = time.process_time() - start
    found = {
        "requests": len(result),
        "cpu_s": seconds,
        "us_per_request": 1e6 * seconds / len(result),
        "mib": peak(),
        "mib_before": before,
        "p99_ms": 1e3 * result.percentile(99),
    }
    some = world(requests // 10)
    with ExitStack() as stack:
        executor = None
        if dask:
            from distributed import Client

            executor = stack.enter_context(Client(n_workers=2, threads_per_worker=1)).get_executor()
        start = time.perf_counter()
        table = sweep(some, {"policy": ["least_connections", "power_of_two"]}, executor, progress=False)
        found |= {"sweep_s": time.perf_counter() - start, "sweep_runs": len(table), "dask": dask}
    return found


def show(found: dict[str, Any]) -> None:
    print(f"{REGIONS} regions x {ZONES} zones x {SERVERS} servers, {found['requests']:,} requests")
    print(f"{found['cpu_s']:.1f} s of processor time, {found['us_per_request']:.2f} us a request")
    print(f"{found['mib']:.0f} MiB at most, {found['mib_before']:.0f} of them before the run")
    print(f"p99 {found['p99_ms']:.1f} ms")
    where = "a Dask cluster here" if found["dask"] else "processes of its own"
    runs, seconds = found["sweep_runs"], found["sweep_s"]
    print(f"a sweep of {runs} runs with a tenth of the requests in {where}: {seconds:.1f} s")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--requests", type=int, default=10_000_000)
    parser.add_argument("--dask", action="store_true", help="sweep on a Dask cluster on this machine")
    report(parser, measure, show)


if __name__ == "__main__":
    main()

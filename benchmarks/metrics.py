"""What counting costs the proxy: processor time a request with its metrics, in pairs with less of them.

`python -m benchmarks.metrics` prints a table, `--json` one object. h2load plays flat out, with nginx as the
servers. "nothing" counts nothing, "counts" has requests by class, errors and retries, and "histograms", as
every proxy, the durations as well. They take turns in one process, and a ratio is the median of the ratios of
neighbours: a busy machine slows both. The aim is 3 % for all of it.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from statistics import median, quantiles
from typing import Any

from benchmarks.harness import in_turn, options, report
from benchmarks.proxy.lab import Lab
from benchmarks.proxy.loads import Http
from lbkit import Backend, Pool, make_balancer
from lbkit.core.histogram import Histogram
from lbkit.net import Proxy
from lbkit.net.filters.stats import Row, StatsFilter

AIM = 1.03


class Nowhere(Histogram):
    def add(self, seconds: float) -> None:
        """Forget it."""


class WithoutDurations(StatsFilter):
    """Does all but the histograms."""

    def _new_row(self, name: str) -> Row:
        row = self.rows[name] = Row()
        row.latency = row.first_byte = row.connect = Nowhere()
        return row


HOOKS: dict[str, Any] = {
    "nothing": (),
    "counts": (WithoutDurations().on_origin_done,),
    "histograms": (StatsFilter().on_origin_done,),
}


def played(way: str, proxy: Proxy, lab: Lab, count: int) -> dict[str, float]:
    """Return microseconds of the proxy's thread for each request, and requests a second."""
    proxy.service.on_origin_done = HOOKS[way]
    began, before = time.monotonic(), proxy.cpu()
    done = Http().play(proxy.port, count, lab.folder)
    return {
        "us": 1e6 * (proxy.cpu() - before) / done,
        "requests_per_second": done / (time.monotonic() - began),
    }


def measure(requests: int, rounds: int) -> dict[str, Any]:
    with ExitStack() as stack:
        lab = Lab(stack)
        places = [Backend(f"s{i}", host="127.0.0.1", port=int(str(lab.names[f"b{i}"]))) for i in (1, 2, 3)]
        proxy = stack.enter_context(Proxy(Pool(places, make_balancer("round_robin"))))
        busy = os.getloadavg()[0]
        for way in HOOKS:
            played(way, proxy, lab, requests)
        found = in_turn(HOOKS, lambda way: played(way, proxy, lab, requests), rounds)
    rows = {way: _row(figures, found["nothing"]) for way, figures in found.items()}
    return {
        "rows": rows,
        "ratio_vs_nothing": rows["histograms"]["ratio"],
        "load_average": round(busy, 1),
        "processors": os.cpu_count(),
    }


def _row(figures: list[dict[str, float]], nothing: list[dict[str, float]]) -> dict[str, float]:
    ratios = [one["us"] / other["us"] for one, other in zip(figures, nothing, strict=True)]
    low, ratio, high = quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    medians = {name: round(median(one[name] for one in figures), 1) for name in figures[0]}
    return medians | {"ratio": round(ratio, 3), "low": round(low, 3), "high": round(high, 3)}


def show(found: dict[str, Any]) -> None:
    print(f"{'':12}{'us a request':>14}{'ratio':>8}{'half of the pairs':>20}{'requests/s':>12}")
    for way, row in found["rows"].items():
        between = f"{row['low']:.3f} to {row['high']:.3f}"
        print(f"{way:12}{row['us']:14.1f}{row['ratio']:8.3f}{between:>20}{row['requests_per_second']:12.0f}")
    print(f"aim: {AIM:g}; load average at the beginning {found['load_average']}", end="")
    print(f", on {found['processors']} processors")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--requests", type=int, default=5_000, help="of a round")
    parser.add_argument("--rounds", type=int, default=41)
    report(parser, measure, show)


if __name__ == "__main__":
    main()

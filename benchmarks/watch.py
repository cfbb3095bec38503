"""What it costs the proxy that a theatre follows it: processor time a request, in pairs with and without.

`python -m benchmarks.watch` prints a table, `--json` one object. h2load plays flat out, with nginx as the
servers. "drawn" is what a theatre does: of many requests a share is written down, 120 a second. "all" has
every request written down, so it says what one costs. The proxy's thread and the theatre's are counted apart;
the theatre's is in milliseconds of each second, as it depends on the time more than on requests. It includes
the JSON that goes to the page, but no page.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack
from statistics import median
from typing import Any

from benchmarks.harness import in_turn, options, report
from benchmarks.proxy.lab import Lab
from benchmarks.proxy.loads import Http
from lbkit import Backend, Experiment, Pool, Traffic, make_balancer, servers
from lbkit.live.watching import Requests
from lbkit.net import Proxy
from lbkit.recorded import Sighting
from lbkit.viz.theatre.live import LiveShow

WAYS = ("off", "drawn", "all")


class Everything(Requests):
    """Has every request written down."""

    def news(self, now: float) -> list[Sighting]:
        found = super().news(now)
        self._watch.let(1.0, 1 << 30)
        return found


class Running:
    """As a session that runs, as far as a theatre looks at it."""

    on, policy, done, running = "live", "round_robin", False, True

    def __init__(self, proxy: Proxy, watcher: type[Requests]) -> None:
        self.experiment = Experiment(servers(3), Traffic(clients=10))
        self.changes: list[Any] = []
        self.history: list[Any] = []
        self.watchers: list[Any] = []
        self._proxy, self._watcher = proxy, watcher
        self._t0 = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._t0

    def watch(self) -> Requests:
        return self._watcher(self.experiment, self._proxy.watch(), self._t0)


def played(way: str, proxy: Proxy, lab: Lab, count: int) -> dict[str, float]:
    """Return microseconds of the proxy for each request, and what the theatre took of each second."""
    show = None
    if way != "off":
        session: Any = Running(proxy, Everything if way == "all" else Requests)
        show = LiveShow(session, lambda message: json.dumps(message), lambda: None)
        show.start()
        Http().play(proxy.port, count // 2, lab.folder)  # until it knows the rate
    began, process, thread = time.monotonic(), time.process_time(), proxy.cpu()
    done = Http().play(proxy.port, count, lab.folder)
    took, own = time.monotonic() - began, proxy.cpu() - thread
    others = time.process_time() - process - own
    if show:
        show.close()
    return {"us": 1e6 * own / done, "theatre_ms": 1e3 * others / took, "requests_per_second": done / took}


def measure(requests: int, rounds: int) -> dict[str, Any]:
    with ExitStack() as stack:
        lab = Lab(stack)
        places = [Backend(f"s{i}", host="127.0.0.1", port=int(str(lab.names[f"b{i}"]))) for i in (1, 2, 3)]
        proxy = stack.enter_context(Proxy(Pool(places, make_balancer("round_robin"))))
        busy = os.getloadavg()[0]
        for way in WAYS:
            played(way, proxy, lab, requests // 4)
        found = in_turn(WAYS, lambda way: played(way, proxy, lab, requests), rounds)
    rows = {
        way: {
            **{name: round(median(one[name] for one in figures), 1) for name in figures[0]},
            "ratio": round(
                median(on["us"] / off["us"] for on, off in zip(figures, found["off"], strict=True)), 3
            ),
        }
        for way, figures in found.items()
    }
    return {"rows": rows, "load_average": round(busy, 1), "processors": os.cpu_count()}


def show(found: dict[str, Any]) -> None:
    print(f"{'':8}{'us a request':>14}{'ratio':>8}{'theatre, ms/s':>15}{'requests/s':>12}")
    for way, row in found["rows"].items():
        print(
            f"{way:8}{row['us']:14.1f}{row['ratio']:8.3f}{row['theatre_ms']:15.1f}"
            f"{row['requests_per_second']:12.0f}"
        )
    print(f"load average at the beginning {found['load_average']}, on {found['processors']} processors")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="of a round")
    parser.add_argument("--rounds", type=int, default=9)
    report(parser, measure, show)


if __name__ == "__main__":
    main()

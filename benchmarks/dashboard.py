"""What a dashboard costs the kernel: processor time of its thread, and bytes a frame on the wire.

`python -m benchmarks.dashboard` prints a table, `--json` one object. It runs in a kernel, as a notebook does.
In the place of a session is one that has the counters of as many servers, so no other processes run; all that
the dashboard does is done: scrape, queries, rules, JSON and the message. "kernel" is the processor time of
the whole process over the time that passed, "thread" that of the dashboard's thread alone. `--real` adds a
session on lbkit's own proxy, which is in the same process.
"""

from __future__ import annotations

import json
import os
import threading
import time
from bisect import bisect_left
from math import inf
from typing import Any

from jupyter_client.manager import start_new_kernel

from benchmarks.harness import options, report
from lbkit import Constant, Experiment, Traffic, servers
from lbkit.metrics.names import BOUNDS, CLASSES, DURATION, IN_FLIGHT, REQUESTS, UP
from lbkit.metrics.store import Scrape, labels
from lbkit.viz import Dashboard

REAL = "3, real"


class Running:
    """As a session that runs, as far as a dashboard looks at it; its counters follow from the time."""

    on, policy, untold, running = "live", "round_robin", "", True

    def __init__(self, count: int) -> None:
        self.experiment = Experiment(servers(count, service=Constant(0.02)), Traffic(clients=10))
        self.changes: list[Any] = []
        self.history: list[Any] = []
        self.watchers: list[Any] = []
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def metrics(self, clients: bool = False) -> Scrape:
        done = int(100 * self.elapsed)
        names = [server.name for server in self.experiment.servers]
        bounds = ["+Inf" if bound == inf else f"{bound:g}" for bound in (*BOUNDS, inf)]
        passed = bisect_left(BOUNDS, 0.05)
        upto = [done * min(1.0, i / passed) for i in range(len(bounds))]
        return {
            REQUESTS.name: {
                labels(backend=name, code=code): done * (code == "2xx") for name in names for code in CLASSES
            },
            f"{DURATION.name}_bucket": {
                labels(backend=name, le=le): count
                for name in names
                for le, count in zip(bounds, upto, strict=True)
            },
            f"{DURATION.name}_count": {labels(backend=name): done for name in names},
            f"{DURATION.name}_sum": {labels(backend=name): 0.02 * done for name in names},
            IN_FLIGHT.name: {labels(backend=name): done % 7 for name in names},
            UP.name: {labels(backend=name): 1.0 for name in names},
        }


class Measured(Dashboard):
    """Counts what it sends, and the time of the thread that sends it."""

    def __init__(self, *source: Any, **how: Any) -> None:
        self.sizes: list[int] = []
        self.thread_s = 0.0
        super().__init__(*source, **how)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.sizes.append(len(json.dumps(content)))
        super().send(content, buffers)
        if threading.current_thread().name == "lbkit-dashboard":
            self.thread_s = time.thread_time()


def followed(session: Any, seconds: float) -> dict[str, float]:
    """Return what a dashboard of a session takes in some seconds, as the kernel has it."""
    dashboard = Measured(session)
    time.sleep(2.0)  # until its windows have begun to fill
    process, thread, began = time.process_time(), dashboard.thread_s, time.monotonic()
    first = len(dashboard.sizes)
    time.sleep(seconds)
    took, sizes = time.monotonic() - began, dashboard.sizes[first:]
    found = {
        "kernel_share": (time.process_time() - process) / took,
        "thread_share": (dashboard.thread_s - thread) / took,
        "frames_per_second": len(sizes) / took,
        "bytes": sum(sizes) / max(1, len(sizes)),
    }
    dashboard.close()
    return found


def session_of(name: str, seconds: float) -> Any:
    """Return a session: one that is real, or one with this number of servers."""
    if name != REAL:
        return Running(int(name))
    from lbkit.live import LiveSession

    experiment = Experiment(servers(3, service=Constant(0.01)), Traffic(duration=seconds + 10))
    return LiveSession(experiment.at_load(0.5)).start()


def in_kernel(name: str, seconds: float) -> dict[str, float]:
    """Return what `followed` returns, from a kernel that is started for it."""
    code = (
        "import json\nfrom benchmarks.dashboard import followed, session_of\n"
        f"session = session_of({name!r}, {seconds})\nprint(json.dumps(followed(session, {seconds})))\n"
        "if hasattr(session, 'stop'): session.stop()"
    )
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        printed: list[str] = []

        def hear(message: Any) -> None:
            printed.append(message["content"].get("text", "".join(message["content"].get("traceback", ()))))

        client.execute_interactive(code, output_hook=hear, timeout=seconds + 120)
        said = "".join(printed)
        if not said.lstrip().startswith("{"):
            raise RuntimeError(said)
        found: dict[str, float] = json.loads(said)
        return found
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def measure(seconds: float, real: bool, count: list[int]) -> dict[str, Any]:
    busy = os.getloadavg()[0]
    names = [*map(str, count), *([REAL] if real else [])]
    rows = {name: in_kernel(name, seconds) for name in names}
    return {"rows": rows, "load_average": round(busy, 1), "processors": os.cpu_count()}


def show(found: dict[str, Any]) -> None:
    print(f"{'servers':12}{'kernel':>8}{'thread':>8}{'frames/s':>10}{'bytes a frame':>15}")
    for name, row in found["rows"].items():
        print(
            f"{name:12}{row['kernel_share']:8.1%}{row['thread_share']:8.1%}"
            f"{row['frames_per_second']:10.1f}{row['bytes']:15.0f}"
        )
    print(f"load average at the beginning {found['load_average']}, on {found['processors']} processors")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each row")
    parser.add_argument("--count", type=int, nargs="+", default=[3, 10, 30], help="of servers, for each row")
    parser.add_argument("--real", action="store_true", help="also a session with real processes")
    report(parser, measure, show)


if __name__ == "__main__":
    main()

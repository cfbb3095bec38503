"""The proxy next to nginx and HAProxy that do the same: processor time a request, feature by feature.

`python -m benchmarks.proxy` prints a table, `--json` one object; `--rows` chooses. In a row all programs get
the same load in front of the same backends, one worker each, and take turns; figures are medians of rounds.
Processor time counts, not requests a second: on a busy machine it says more.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any

from benchmarks.harness import in_turn, options, report
from benchmarks.proxy.lab import BODY, Candidate, Lab
from benchmarks.proxy.loads import Load
from benchmarks.proxy.programs import lbkit, nginx
from benchmarks.proxy.rows import ROWS, Row
from lbkit.live.program import free_ports
from lbkit.needs import find_program

WARM = 100  # requests, at first


def round_of(candidate: Candidate, load: Load, count: int, lab: Lab) -> tuple[float, float]:
    """Return microseconds of processor time for each request, and requests a second."""
    began, before = time.monotonic(), candidate.cpu()
    done = load.play(candidate.port, count, lab.folder)
    return 1e6 * (candidate.cpu() - before) / done, done / (time.monotonic() - began)


def enough(candidate: Candidate, load: Load, seconds: float, lab: Lab) -> int:
    """Warm it up, and return how many requests take it about so many seconds of processor time: systems count
    that in steps of 10 ms, so a busy machine must not make a round shorter."""
    count = WARM
    round_of(candidate, load, count, lab)  # the first ones cost more
    while True:
        us, _ = round_of(candidate, load, count, lab)
        took = 1e-6 * us * count
        if took >= seconds / 2:
            return count
        count = int(count * min(4.0, seconds / took if took else 4.0))


def compare(lab: Lab, row: Row, seconds: float, rounds: int) -> dict[str, Any]:
    """Return the figures of a row."""
    missing = {name: reason for name, config in row.programs.items() if (reason := config.missing())}
    here = {
        name: lab.candidate(name, config, row.load.ready)
        for name, config in row.programs.items()
        if name not in missing
    }
    counts = {name: enough(candidate, row.load, seconds, lab) for name, candidate in here.items()}
    found = in_turn(here, lambda name: round_of(here[name], row.load, counts[name], lab), rounds)
    cpu = {name: median(us for us, _ in figures) for name, figures in found.items()}
    return {
        "per": row.load.per,
        "cpu_us": cpu,
        "rate": {name: median(rate for _, rate in figures) for name, figures in found.items()},
        "cpu_ratio": {name: cpu["lbkit"] / us for name, us in cpu.items() if "lbkit" in cpu and us},
        "aims": dict(row.aims),
        "missing": missing,
    }


def idle_bytes(candidate: Candidate, count: int) -> float:
    """Return the memory of a client's connection that has had its answer and waits, kept alive."""
    before = 0
    with ExitStack() as stack:
        for i in range(2 * count):
            if i == count:  # the first ones fill the room that the program has anyway
                before = candidate.memory()
            client = stack.enter_context(socket.create_connection(("127.0.0.1", candidate.port), 5))
            client.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
            answer = b""
            while BODY not in answer:
                piece = client.recv(4096)
                if not piece:
                    sys.exit(f"{candidate.name} closed a connection that should stay")
                answer += piece
        return (candidate.memory() - before) / count


def measure(rows: Sequence[str], seconds: float, rounds: int, idle: int) -> dict[str, Any]:
    if not find_program(["nginx"]) or not find_program(["h2load"]):
        sys.exit("needs nginx and h2load: apt-get install nginx nghttp2-client")
    found: dict[str, Any] = {"rows": {}, "seconds": seconds, "rounds": rounds}
    with ExitStack() as stack:
        lab = Lab(stack)
        for name in rows:
            found["rows"][name] = compare(lab, ROWS[name], seconds, rounds)
        if idle:
            found["idle_connection_bytes"] = sizes = {}
            for name, config in {"lbkit": lbkit(), "nginx": nginx()}.items():
                (port,) = free_ports(1)
                with lab.running(name, config, port) as candidate:  # a fresh one
                    sizes[name] = idle_bytes(candidate, idle)
    ratios = found["rows"].get("plain", {}).get("cpu_ratio", {})
    return found | {f"cpu_ratio_vs_{name}": ratio for name, ratio in ratios.items() if name != "lbkit"}


def show(found: dict[str, Any]) -> None:
    print(f"One worker each, medians of {found['rounds']} rounds, Python {found['python']}")
    print(f"{'':22}{'':12}{'processor time':>18}{'lbkit needs':>30}")
    for title, row in found["rows"].items():
        for name, us in row["cpu_us"].items():
            line = f"{title:22}{name:12}{us:8,.1f} us a {row['per']:11}{row['rate'][name]:9,.0f} a second"
            if name != "lbkit" and name in row["cpu_ratio"]:
                line += f"{row['cpu_ratio'][name]:7.2f} x"
            if name in row["aims"]:
                line += f"  (aim: {row['aims'][name]:g} x)"
            print(line)
            title = ""
        for name, reason in row["missing"].items():
            print(f"{title:22}{name:12}not shown: {reason}")
    if sizes := found.get("idle_connection_bytes"):
        print(
            "an idle connection:", ", ".join(f"{name} {size / 1024:.1f} KiB" for name, size in sizes.items())
        )


def main() -> None:
    parser = options(__doc__)
    parser.add_argument(
        "--rows", nargs="+", default=list(ROWS), choices=ROWS, metavar="ROW", help=", ".join(ROWS)
    )
    parser.add_argument("--seconds", type=float, default=0.5, help="of processor time a round, about")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle", type=int, default=1000, help="connections for the memory of an idle one")
    report(parser, measure, show)


if __name__ == "__main__":
    main()

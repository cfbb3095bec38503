"""HTTP/2 from clients: processor time a request of lbkit's proxy and nginx, by HTTP/1.1 and by HTTP/2.

`python -m benchmarks.http2` prints a table, `--json` one object. Each has one worker and passes answers of
128 bytes from the same three backends (an nginx, by HTTP/1.1) to h2load, without TLS. They take turns.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from benchmarks.proxy import NGINX, NGINX_BACKENDS, Candidate, started
from lbkit.live.program import free_ports
from lbkit.needs import find_program

VERSIONS = {"1.1": ["--h1"], "2": []}  # of HTTP, and what h2load is told
CLIENTS, AT_ONCE = 8, 8  # connections, and requests on each


@contextmanager
def candidates() -> Iterator[list[Candidate]]:
    """lbkit's proxy, and nginx once for each version, as its old releases have one on a port."""
    nginx = find_program(["nginx"])
    if not nginx or not find_program(["h2load"]):
        sys.exit("needs nginx and h2load: apt-get install nginx nghttp2-client")
    a, b, c, own, *ports = free_ports(6)
    backends = [f"127.0.0.1:{port}" for port in (a, b, c)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lbkit-bench-")))
        listens = " ".join(f"listen {backend};" for backend in backends)
        servers = " ".join(f"server {backend};" for backend in backends)
        (folder / "backends.conf").write_text(
            NGINX_BACKENDS.format(folder=folder, listens=listens, body="x" * 128)
        )
        config = NGINX.format(folder=folder, port=ports[0], servers=servers)
        config = config.replace(
            f"listen 127.0.0.1:{ports[0]};",
            f"listen 127.0.0.1:{ports[0]}; listen 127.0.0.1:{ports[1]} http2;",
        )
        (folder / "nginx.conf").write_text(config)
        (folder / "lbkit.toml").write_text(
            f'listen = "127.0.0.1:{own}"\n'
            + "".join(f'[[backends]]\naddress = "{backend}"\n' for backend in backends)
            + "[http2]\n"
        )
        stack.enter_context(started("backends", a, nginx, "-c", folder / "backends.conf", "-p", folder))
        command = [sys.executable, "-m", "lbkit.cli", "proxy", folder / "lbkit.toml"]
        lbkit = stack.enter_context(started("lbkit", own, *command))
        other = stack.enter_context(
            started("nginx", ports[0], nginx, "-c", folder / "nginx.conf", "-p", folder)
        )
        yield [
            *(Candidate(f"lbkit {version}", lbkit.process, own) for version in VERSIONS),
            *(
                Candidate(f"nginx {version}", other.process, port)
                for version, port in zip(VERSIONS, ports, strict=True)
            ),
        ]


def load(candidate: Candidate, requests: int) -> float:
    """Requests answered a second; ends the benchmark on a single bad answer."""
    arguments = VERSIONS[candidate.name.split()[1]]
    where = f"http://127.0.0.1:{candidate.port}/some/path?id=1"
    said = subprocess.run(
        ["h2load", *arguments, f"-n{requests}", f"-c{CLIENTS}", f"-m{AT_ONCE}", where],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rate = re.search(r"finished in .*, ([\d.]+) req/s", said)
    if f"{requests} succeeded" not in said or not rate:
        sys.exit(f"bad answers of {candidate.name}:\n{said}")
    return float(rate[1])


def measure(requests: int, rounds: int) -> dict[str, object]:
    with candidates() as all_of_them:
        for candidate in all_of_them:
            load(candidate, 500)  # warm
        for _ in range(rounds):
            for candidate in all_of_them:
                before = candidate.seconds()
                candidate.rps.append(load(candidate, requests))
                candidate.cpu.append(1e6 * (candidate.seconds() - before) / requests)
    cpu = {c.name: median(c.cpu) for c in all_of_them}
    return {
        "http2_cpu_ratio_vs_http1": cpu["lbkit 2"] / cpu["lbkit 1.1"],
        "http2_cpu_ratio_vs_nginx": cpu["lbkit 2"] / cpu["nginx 2"],
        "cpu_us_per_request": cpu,
        "requests_per_s": {c.name: median(c.rps) for c in all_of_them},
        "rounds": rounds,
        "requests": requests,
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="HTTP/2 from clients, by lbkit's proxy and nginx.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--requests", type=int, default=20_000, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found = measure(options.requests, options.rounds)
    if options.json:
        print(json.dumps(found))
        return
    cpu, rps = found["cpu_us_per_request"], found["requests_per_s"]
    assert isinstance(cpu, dict)
    assert isinstance(rps, dict)
    print(f"128-byte answers, {CLIENTS} clients with {AT_ONCE} requests each, Python {found['python']}")
    print(f"{'HTTP':12}{'CPU us/request':>16}{'requests/s':>12}")
    for name in cpu:
        print(f"{name:12}{cpu[name]:16.1f}{rps[name]:12,.0f}")


if __name__ == "__main__":
    main()

"""Hits of the proxy's cache next to those of nginx's proxy_cache: processor time a request.

`python -m benchmarks.cache` prints a table, `--json` one object. Each has one worker; both serve the same
answer of 128 bytes from the cache, as fast as wrk asks, and take turns. The row "no cache" is lbkit's proxy
that forwards each request to a backend.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from benchmarks.proxy import Candidate, load, started
from lbkit.live.program import free_ports
from lbkit.needs import find_program

BACKEND = """
daemon off; pid {folder}/backend.pid; error_log stderr crit; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; default_type text/plain;
  server {{
    listen {backend}; add_header Cache-Control max-age=86400;
    location / {{ return 200 "{body}"; }}
  }}
}}
"""
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log stderr crit; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000;
  client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  proxy_cache_path {folder}/cache keys_zone=cache:10m use_temp_path=off;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://{backend}; proxy_cache cache; proxy_cache_lock on;
      proxy_cache_key $scheme$host$request_uri; add_header Cache-Status $upstream_cache_status;
    }}
  }}
}}
"""
LBKIT = """
listen = "127.0.0.1:{port}"
[[backends]]
address = "{backend}"
"""


@contextmanager
def candidates() -> Iterator[list[Candidate]]:
    """The proxies, in front of the same backend."""
    nginx, wrk = find_program(["nginx"]), find_program(["wrk"])
    if not nginx or not wrk:
        sys.exit("needs nginx and wrk: apt-get install nginx wrk")
    port, *ports = free_ports(4)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lbkit-bench-")))
        names = {"folder": folder, "backend": f"127.0.0.1:{port}", "body": "x" * 128}
        configs = {
            "backend.conf": BACKEND.format(**names),
            "nginx.conf": NGINX.format(port=ports[1], **names),
            "lbkit.toml": LBKIT.format(port=ports[0], **names) + "[cache]\n",
            "without.toml": LBKIT.format(port=ports[2], **names),
        }
        for name, text in configs.items():
            (folder / name).write_text(text)
        folder.chmod(0o755)  # nginx's workers may be another user's
        stack.enter_context(started("backend", port, nginx, "-c", folder / "backend.conf", "-p", folder))
        lbkit = (sys.executable, "-m", "lbkit.cli", "proxy")
        yield [
            stack.enter_context(started("lbkit", ports[0], *lbkit, folder / "lbkit.toml")),
            stack.enter_context(started("nginx", ports[1], nginx, "-c", folder / "nginx.conf", "-p", folder)),
            stack.enter_context(started("no cache", ports[2], *lbkit, folder / "without.toml")),
        ]


def measure(seconds: int, rounds: int, connections: int) -> dict[str, object]:
    with candidates() as found:
        for candidate in found:
            load(candidate.port, 1, connections)  # fills the cache
        for _ in range(rounds):
            for candidate in found:
                before = candidate.seconds()
                done, _rate = load(candidate.port, seconds, connections)
                candidate.cpu.append(1e6 * (candidate.seconds() - before) / done)
    cpu = {c.name: median(c.cpu) for c in found}
    return {
        "cpu_ratio_vs_nginx": cpu["lbkit"] / cpu["nginx"],
        "cpu_ratio_vs_no_cache": cpu["lbkit"] / cpu["no cache"],
        "cpu_us_per_request": cpu,
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Hits of the cache next to nginx's.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=int, default=3, help="of load a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    found = measure(options.seconds, options.rounds, options.connections)
    if options.json:
        print(json.dumps(found))
        return
    cpu = found["cpu_us_per_request"]
    assert isinstance(cpu, dict)
    print(f"hits of 128 bytes, keep-alive, one worker each, Python {found['python']}")
    for name, needed in cpu.items():
        print(f"{name:9}{needed:8.1f} us of CPU a request{cpu['lbkit'] / needed:8.2f} x")


if __name__ == "__main__":
    main()

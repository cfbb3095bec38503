"""The proxy next to nginx, HAProxy and one written with aiohttp: processor time a request.

`python -m benchmarks.proxy` prints a table, `--json` one object. Each has one worker, keeps connections
alive on both sides and passes answers of 128 bytes from the same three backends (an nginx) to
wrk. They take turns, so that a machine that slows down slows all; ratios are of the medians.
Processor time counts, not requests a second: on a busy machine it says more.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from lbkit.live.program import free_ports
from lbkit.needs import find_program

IDLE = 1000  # connections for the memory of an idle one

NGINX_BACKENDS = """
daemon off; pid {folder}/backends.pid; error_log stderr crit; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; default_type text/plain;
  server {{ {listens} location / {{ return 200 "{body}"; }} }}
}}
"""
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log stderr crit; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000;
  client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream backends {{ {servers} keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://backends; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_set_header Via "1.1 nginx";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;
      proxy_set_header Forwarded "for=$remote_addr;host=\\"$host\\";proto=http";
    }}
  }}
}}
"""
HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend f
  bind 127.0.0.1:{port}
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request add-header Via "1.1 haproxy"
  http-request set-header Forwarded for=%[src];host="%[req.hdr(host)]";proto=http
  default_backend b
backend b
  balance roundrobin
{servers}
"""


@dataclass
class Candidate:
    name: str
    process: subprocess.Popen[bytes]
    port: int
    cpu: list[float] = field(default_factory=list)  # microseconds a request, a round each
    rps: list[float] = field(default_factory=list)

    def seconds(self) -> float:
        """Processor time so far, of all its processes."""
        return sum(sum(p.cpu_times()[:2]) for p in self.processes())

    def memory(self) -> int:
        """Bytes that are its own."""
        return sum(p.memory_full_info().uss for p in self.processes())

    def processes(self) -> list[psutil.Process]:
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]


@contextmanager
def started(name: str, port: int, *command: str | Path) -> Iterator[Candidate]:
    """The program, once it serves; stopped afterwards."""
    with ExitStack() as stack:
        log = stack.enter_context(tempfile.TemporaryFile())
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)
        stack.callback(process.wait, 20)
        stack.callback(process.terminate)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    sys.exit(f"{name} did not start: {log.read().decode(errors='replace')}")
                time.sleep(0.05)
        yield Candidate(name, process, port)


@contextmanager
def candidates() -> Iterator[list[Candidate]]:
    """All that are here, in front of the same backends."""
    programs = {name: find_program([name]) for name in ("wrk", "nginx", "haproxy")}
    missing = [name for name in ("wrk", "nginx") if not programs[name]]
    if missing:
        sys.exit(f"needs {' and '.join(missing)}: apt-get install {' '.join(missing)}")
    a, b, c, *ports = free_ports(7)
    backends = [f"127.0.0.1:{port}" for port in (a, b, c)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lbkit-bench-")))
        configs = {
            "backends.conf": NGINX_BACKENDS.format(
                folder=folder, listens=" ".join(f"listen {b};" for b in backends), body="x" * 128
            ),
            "nginx.conf": NGINX.format(
                folder=folder, port=ports[1], servers=" ".join(f"server {b};" for b in backends)
            ),
            "haproxy.cfg": HAPROXY.format(
                port=ports[2],
                servers="\n".join(f"  server s{i} {b}" for i, b in enumerate(backends)),
            ),
            "lbkit.toml": f'listen = "127.0.0.1:{ports[0]}"\n'
            + "".join(f'[[backends]]\naddress = "{b}"\n' for b in backends)
            + '[policy]\nalgorithm = "round_robin"\n',
        }
        for name, text in configs.items():
            (folder / name).write_text(text)
        nginx = str(programs["nginx"])
        stack.enter_context(started("backends", a, nginx, "-c", folder / "backends.conf", "-p", folder))
        commands: list[tuple[str, list[str | Path]]] = [
            ("lbkit", [sys.executable, "-m", "lbkit.cli", "proxy", folder / "lbkit.toml"]),
            ("nginx", [nginx, "-c", folder / "nginx.conf", "-p", folder]),
            ("haproxy", [str(programs["haproxy"]), "-f", folder / "haproxy.cfg"]),
            (
                "aiohttp",
                [
                    sys.executable,
                    "-m",
                    "benchmarks.aiohttp_proxy",
                    str(ports[3]),
                    *[f"http://{b}" for b in backends],
                ],
            ),
        ]
        yield [
            stack.enter_context(started(name, port, *command))
            for (name, command), port in zip(commands, ports, strict=True)
            if command[0] != "None"
        ]


def load(port: int, seconds: int, connections: int) -> tuple[int, float]:
    """Requests answered, and a second, of wrk; ends the benchmark on a single bad answer."""
    wrk = find_program(["wrk"])
    assert wrk
    said = subprocess.run(
        [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", f"http://127.0.0.1:{port}/some/path?id=1"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        sys.exit(f"bad answers on port {port}:\n{said}")
    done = re.search(r"(\d+) requests in", said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert done
    assert rate
    return int(done[1]), float(rate[1])


def idle_bytes(candidate: Candidate) -> float:
    """Memory of a client's connection that has had its answer and waits, kept alive."""
    request = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
    before = 0
    with ExitStack() as stack:
        for i in range(2 * IDLE):
            if i == IDLE:  # the first ones fill the room that the program has anyway
                before = candidate.memory()
            client = stack.enter_context(socket.create_connection(("127.0.0.1", candidate.port), 5))
            client.sendall(request)
            answer = b""
            while b"x" * 128 not in answer:
                piece = client.recv(4096)
                if not piece:
                    sys.exit(f"{candidate.name} closed a connection that should stay")
                answer += piece
        return (candidate.memory() - before) / IDLE


def measure(seconds: int, rounds: int, connections: int) -> dict[str, object]:
    with candidates() as all_of_them:
        by_name = {c.name: c for c in all_of_them}
        idle = {name: idle_bytes(by_name[name]) for name in ("lbkit", "nginx")}  # while they are fresh
        for candidate in all_of_them:
            load(candidate.port, 1, connections)  # warm
        for _ in range(rounds):
            for candidate in all_of_them:
                before = candidate.seconds()
                done, rate = load(candidate.port, seconds, connections)
                candidate.cpu.append(1e6 * (candidate.seconds() - before) / done)
                candidate.rps.append(rate)
    cpu = {c.name: median(c.cpu) for c in all_of_them}
    rps = {c.name: median(c.rps) for c in all_of_them}
    ratios = {f"cpu_ratio_vs_{name}": cpu["lbkit"] / cpu[name] for name in cpu if name != "lbkit"}
    ratios |= {f"rps_ratio_vs_{name}": rps["lbkit"] / rps[name] for name in rps if name != "lbkit"}
    return {
        **ratios,
        "cpu_us_per_request": cpu,
        "requests_per_s": rps,
        "idle_connection_bytes": idle,
        "rounds": rounds,
        "seconds": seconds,
        "connections": connections,
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The proxy next to nginx, HAProxy and aiohttp.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=int, default=3, help="of load a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    found = measure(options.seconds, options.rounds, options.connections)
    if options.json:
        print(json.dumps(found))
        return
    cpu, rps = found["cpu_us_per_request"], found["requests_per_s"]
    assert isinstance(cpu, dict)
    assert isinstance(rps, dict)
    print(f"128-byte answers, keep-alive, three backends, one worker each, Python {found['python']}")
    print(f"{'':8}{'CPU us/request':>16}{'requests/s':>12}{'lbkit needs':>14}")
    for name in cpu:
        print(f"{name:8}{cpu[name]:16.1f}{rps[name]:12,.0f}{cpu['lbkit'] / cpu[name]:11.2f} x")
    idle = found["idle_connection_bytes"]
    assert isinstance(idle, dict)
    print(", ".join(f"{name}: {size / 1024:.1f} KiB" for name, size in idle.items()), "an idle connection")


if __name__ == "__main__":
    main()

"""Firewalls: processor time a request with lbkit's signatures and with ModSecurity, next to nginx's with it.

`python -m benchmarks.firewall` prints a table, `--json` one object. Each has one worker and passes answers of
128 bytes from the same three backends (an nginx) to wrk, which sends a browser's fields. They take turns.
ModSecurity has the same rules on both: the requests' part of the OWASP Core Rule Set, at paranoia 1.
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
from lbkit.needs import find_program, why_not
from lbkit.net.modsecurity import CORE_RULE_SET, files_of, preamble

ENGINES = {"lbkit": "", "lbkit signatures": '"lbkit"', "lbkit ModSecurity": '"modsecurity"'}
MODULE = Path("/usr/lib/nginx/modules/ngx_http_modsecurity_module.so")  # of Debian's package
WITHOUT = "nginx's is not shown: apt-get install libnginx-mod-http-modsecurity"
FIELDS = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Cookie: sid=jahsdjkh2387; theme=dark; _ga=GA1.2.123.456",
    'Sec-CH-UA: "Chromium";v="130", "Not?A_Brand";v="99"',
    "Sec-Fetch-Site: same-origin",
    "Referer: https://a.example/list?page=3&sort=price",
)
TARGET = "/some/path/page.html?id=17&page=2&q=red+shoes"


@contextmanager
def candidates() -> Iterator[list[Candidate]]:
    """lbkit's proxy without a firewall and with each; nginx without one and, with the module, with it."""
    nginx = find_program(["nginx"])
    missing = why_not("modsecurity")
    if not nginx or not find_program(["wrk"]) or missing:
        sys.exit(missing or "needs nginx and wrk: apt-get install nginx wrk")
    a, b, c, *ports = free_ports(3 + len(ENGINES) + 2)
    backends = [f"127.0.0.1:{port}" for port in (a, b, c)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lbkit-bench-")))
        listens = " ".join(f"listen {backend};" for backend in backends)
        text = NGINX_BACKENDS.format(folder=folder, listens=listens, body="x" * 128)
        (folder / "backends.conf").write_text(text)
        stack.enter_context(started("backends", a, nginx, "-c", folder / "backends.conf", "-p", folder))
        found = []
        for (name, engine), port in zip(ENGINES.items(), ports, strict=False):
            file = folder / f"{port}.toml"
            lines = [f'listen = "127.0.0.1:{port}"']
            lines += [f'[[backends]]\naddress = "{backend}"' for backend in backends]
            lines += [f'[firewall]\nmode = "block"\nengine = {engine}'] if engine else []
            file.write_text("\n".join(lines))
            command = [sys.executable, "-m", "lbkit.cli", "proxy", file]
            found.append(stack.enter_context(started(name, port, *command)))
        (folder / "rules").write_text(
            preamble() + "".join(f"Include {rules}\n" for rules in files_of(CORE_RULE_SET))
        )
        servers = " ".join(f"server {backend};" for backend in backends)
        for name, port in zip(("nginx", "nginx ModSecurity"), ports[len(ENGINES) :], strict=True):
            text = NGINX.format(folder=folder, port=port, servers=servers)
            text = text.replace("nginx.pid", f"{port}.pid")
            if name != "nginx":
                if not MODULE.exists():
                    continue
                rules = f"modsecurity on; modsecurity_rules_file {folder}/rules;"
                text = f"load_module {MODULE};\n" + text.replace(
                    "access_log off;", f"access_log off; {rules}", 1
                )
            (folder / f"{port}.conf").write_text(text)
            found.append(stack.enter_context(started(name, port, nginx, "-c", folder / f"{port}.conf")))
        yield found


def load(port: int, seconds: int, connections: int) -> tuple[int, float]:
    """Requests answered, and a second, of wrk; ends the benchmark on a single bad answer."""
    fields = [part for field in FIELDS for part in ("-H", field)]
    said = subprocess.run(
        [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            *fields,
            f"http://127.0.0.1:{port}{TARGET}",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    done, rate = re.search(r"(\d+) requests in", said), re.search(r"Requests/sec:\s+([\d.]+)", said)
    if "Non-2xx" in said or "Socket errors" in said or not done or not rate:
        sys.exit(f"bad answers on port {port}:\n{said}")
    return int(done[1]), float(rate[1])


def measure(seconds: int, rounds: int, connections: int) -> dict[str, object]:
    with candidates() as all_of_them:
        for candidate in all_of_them:
            load(candidate.port, 1, connections)  # warm
        for _ in range(rounds):
            for candidate in all_of_them:
                before = candidate.seconds()
                done, rate = load(candidate.port, seconds, connections)
                candidate.cpu.append(1e6 * (candidate.seconds() - before) / done)
                candidate.rps.append(rate)
    cpu = {c.name: median(c.cpu) for c in all_of_them}
    return {
        "signatures_us": cpu["lbkit signatures"] - cpu["lbkit"],
        "modsecurity_us": cpu["lbkit ModSecurity"] - cpu["lbkit"],
        "nginx_modsecurity_us": cpu["nginx ModSecurity"] - cpu["nginx"]
        if "nginx ModSecurity" in cpu
        else None,
        "cpu_us_per_request": cpu,
        "requests_per_s": {c.name: median(c.rps) for c in all_of_them},
        "rounds": rounds,
        "seconds": seconds,
        "connections": connections,
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Firewalls: lbkit's signatures and ModSecurity.")
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
    print(f"A browser's GET, 128-byte answers, one worker each, Python {found['python']}")
    print(f"{'':20}{'CPU us/request':>16}{'requests/s':>12}{'firewall':>10}")
    for name in cpu:
        cost = cpu[name] - cpu[name.split()[0]]
        print(f"{name:20}{cpu[name]:16.1f}{rps[name]:12,.0f}{cost:10.1f}")
    if found["nginx_modsecurity_us"] is None:
        print(WITHOUT)


if __name__ == "__main__":
    main()

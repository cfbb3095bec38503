"""The proxy at layer 4 next to HAProxy's TCP mode and nginx's stream module: processor time a round trip.

`python -m benchmarks.layer4` prints a table, `--json` one object. Each has one worker, and relays to the same
echo server: over TCP, connections that last, with 64 bytes and with 16 KiB each way; over UDP, sessions with
64 bytes. A connection has one round trip under way at a time. They take turns, so that a machine that slows
down slows all; ratios are of the medians. HAProxy has no UDP.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.proxy import Candidate, started
from lbkit.live.peers.nginx import stream_module
from lbkit.live.program import free_ports
from lbkit.needs import find_program
from lbkit.net.loop import new_event_loop

SIZES = {"tcp_64": 64, "tcp_16384": 16 * 1024, "udp_64": 64}  # bytes each way
BOUND = 1.3  # of HAProxy's processor time that ours may be

LBKIT = """
mode = "{mode}"
listen = "127.0.0.1:{port}"
[[backends]]
address = "127.0.0.1:{echo}"
"""
HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen relay
  bind 127.0.0.1:{port}
  server echo 127.0.0.1:{echo}
"""
NGINX = """
{module}daemon off; pid {folder}/nginx.pid; error_log stderr crit; worker_processes 1;
events {{ worker_connections 4096; }}
stream {{ server {{ listen 127.0.0.1:{tcp}; proxy_pass 127.0.0.1:{echo}; }}
          server {{ listen 127.0.0.1:{udp} udp; proxy_pass 127.0.0.1:{echo}; }} }}
"""


# -- the echo server, and the load ---------------------------------------------------------------------


class Echo(asyncio.Protocol, asyncio.DatagramProtocol):
    """Sends back what comes, over TCP or UDP."""

    transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


async def echo(port: int) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Echo, ("127.0.0.1", port))
    server = await loop.create_server(Echo, "127.0.0.1", port)
    await server.serve_forever()


class Player(asyncio.Protocol, asyncio.DatagramProtocol):
    """Sends, waits for all of it to come back, and sends again until the time is over."""

    transport: Any

    def __init__(self, size: int) -> None:
        self.message = b"x" * size
        self.missing = 0
        self.done = 0  # round trips
        self.stopped = False
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.play()

    def play(self) -> None:
        if self.stopped:
            self.over.done() or self.over.set_result(None)
            return
        self.missing = len(self.message)
        send = self.transport.sendto if hasattr(self.transport, "sendto") else self.transport.write
        send(self.message)

    def data_received(self, data: bytes) -> None:
        self.missing -= len(data)
        if not self.missing:
            self.done += 1
            self.play()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.data_received(data)


async def load(row: str, port: int, seconds: float, connections: int) -> int:
    """Return the number of round trips."""
    loop = asyncio.get_running_loop()
    players = [Player(SIZES[row]) for _ in range(connections)]
    for player in players:
        if row.startswith("udp"):
            await loop.create_datagram_endpoint(lambda p=player: p, remote_addr=("127.0.0.1", port))  # type: ignore[misc]
        else:
            await loop.create_connection(lambda p=player: p, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.sleep(seconds)
    for player in players:
        player.stopped = True
    # A datagram may be lost; a byte of a connection may not.
    _, late = await asyncio.wait([player.over for player in players], timeout=5)
    for player in players:
        player.transport.abort()
    if late and not row.startswith("udp"):
        sys.exit(f"{len(late)} connections through port {port} hang")
    return sum(player.done for player in players)


# -- the candidates ------------------------------------------------------------------------------------


@contextmanager
def candidates() -> Iterator[dict[str, list[Candidate]]]:
    """Return those of each row, all in front of the same echo server."""
    nginx, haproxy = (find_program([name]) for name in ("nginx", "haproxy"))
    if not (nginx and haproxy):
        sys.exit(
            "needs nginx with its stream module, and haproxy: apt-get install libnginx-mod-stream haproxy"
        )
    at, *ports = free_ports(6)
    ours, ours_udp, theirs, nginx_tcp, nginx_udp = ports
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lbkit-bench-")))
        configs = {
            "tcp.toml": LBKIT.format(mode="tcp", port=ours, echo=at),
            "udp.toml": LBKIT.format(mode="udp", port=ours_udp, echo=at),
            "haproxy.cfg": HAPROXY.format(port=theirs, echo=at),
            "nginx.conf": NGINX.format(
                module=stream_module(), folder=folder, tcp=nginx_tcp, udp=nginx_udp, echo=at
            ),
        }
        for name, text in configs.items():
            (folder / name).write_text(text)
        python = sys.executable
        stack.enter_context(started("echo", at, python, "-m", "benchmarks.layer4", "--echo", str(at)))
        proxy = [python, "-m", "lbkit.cli", "proxy"]
        tcp = stack.enter_context(started("lbkit", ours, *proxy, folder / "tcp.toml"))
        # What listens on UDP cannot be connected to, so it is waited for by a round trip.
        udp = stack.enter_context(started("lbkit", at, *proxy, folder / "udp.toml"))
        other = stack.enter_context(started("haproxy", theirs, haproxy, "-f", folder / "haproxy.cfg"))
        third = stack.enter_context(
            started("nginx", nginx_tcp, nginx, "-c", folder / "nginx.conf", "-p", folder)
        )
        udp.port = ours_udp
        answers(ours_udp)
        fourth = Candidate("nginx", third.process, nginx_udp)
        yield {
            "tcp_64": [tcp, other, third],
            "tcp_16384": [
                Candidate("lbkit", tcp.process, ours),
                Candidate("haproxy", other.process, theirs),
                Candidate("nginx", third.process, nginx_tcp),
            ],
            "udp_64": [udp, fourth],
        }


def answers(port: int) -> None:
    """Wait until datagrams come back."""
    end = time.monotonic() + 20
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        while time.monotonic() < end:
            try:
                sock.sendto(b"?", ("127.0.0.1", port))
                sock.recv(10)
            except OSError:
                time.sleep(0.1)
            else:
                return
    sys.exit(f"nothing comes back from UDP port {port}")


def measure(seconds: float, rounds: int, connections: int) -> dict[str, Any]:
    with candidates() as rows, asyncio.Runner(loop_factory=new_event_loop) as runner:
        for row, several in rows.items():
            for number in range(rounds + 1):  # the first one warms up
                for candidate in several:
                    before = candidate.seconds()
                    done = runner.run(load(row, candidate.port, seconds, connections))
                    if number:
                        candidate.cpu.append(1e6 * (candidate.seconds() - before) / max(1, done))
        cpu = {row: {c.name: median(c.cpu) for c in several} for row, several in rows.items()}
    return {
        "cpu_us_per_round_trip": cpu,
        **{
            f"cpu_ratio_vs_{name}": {row: of["lbkit"] / of[name] for row, of in cpu.items() if name in of}
            for name in ("haproxy", "nginx")
        },
        "bound_vs_haproxy": BOUND,
        "rounds": rounds,
        "seconds": seconds,
        "connections": connections,
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Layer 4 next to HAProxy and nginx.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=2, help="of load a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--echo", type=int, metavar="PORT", help="only serve as the echo server")
    options = parser.parse_args()
    if options.echo:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(echo(options.echo))
        return
    found = measure(options.seconds, options.rounds, options.connections)
    if options.json:
        print(json.dumps(found))
        return
    print(f"{found['connections']} connections that last, one worker each, Python {found['python']}")
    print(f"{'':10}{'':9}{'CPU us/round trip':>18}{'lbkit needs':>14}")
    for row, cpu in found["cpu_us_per_round_trip"].items():
        for name, microseconds in cpu.items():
            print(f"{row:10}{name:9}{microseconds:18.1f}{cpu['lbkit'] / microseconds:11.2f} x")
    print(f"the bound is {BOUND} x HAProxy")


if __name__ == "__main__":
    main()

"""What a request costs inside the proxy: no sockets, no loop, only lbkit's own code and the parser in C.

`python -m benchmarks.proxy.inside` prints microseconds of processor time; with LBKIT_PURE=1 those of readable
Python. `in`: from the bytes of a request to those for the backend. `out`: from the bytes of the answer to
those for the client, and the end of the exchange. The least of several rounds counts, as everything else on
the machine only adds.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

from benchmarks.harness import options, report
from benchmarks.proxy.heads import request
from benchmarks.proxy.lab import BODY
from lbkit.net import Proxy, ProxyConfig
from lbkit.net.http1 import plans
from lbkit.net.http1.client import ClientConnection
from lbkit.net.http1.server import ServerConnection

CLIENTS = 100
WARM = 3  # rounds
ENDS = {"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 8080)}
ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Fri, 27 Nov 2026 %02d:%02d:%02d GMT\r\n"
    b"Content-Type: text/plain\r\nContent-Length: %d\r\nConnection: keep-alive\r\n"
    b"Set-Cookie: sid=%032x; Path=/; HttpOnly\r\n\r\n%b"
)
# What is on, besides two kinds of heads without anything.
FEATURES: dict[str, dict[str, Any]] = {
    "checks": {"policy": {"health": {"checks": {}}}},
    "breakers": {"policy": {"health": {"breaker": {}}}},
    "retries": {
        "policy": {
            "retry": {"statuses": [502, 503], "budget": {}, "timeouts": {"first_byte": 5.0, "total": 10.0}}
        }
    },
    "sessions": {"policy": {"sticky": {"how": "insert"}}},
    "access log": {"access_log": "/dev/null"},
    "rate limit": {"rate_limits": [{"limiter": {"kind": "token_bucket", "rate": 1e6, "burst": 1e6}}]},
    "hide": {"hide": ["Server"]},
}


class Wire:
    """A transport that takes everything and keeps the last."""

    def __init__(self) -> None:
        self.last = b""

    def write(self, data: bytes) -> None:
        self.last = data

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ENDS.get(name, default)


def answer(number: int, varied: bool) -> bytes:
    n = number if varied else 0
    body = BODY + b"x" * (n % 97)
    return ANSWER % (n // 3600 % 24, n // 60 % 60, n % 60, len(body), 104_729 * n, body)


class Inside:
    """A proxy, clients and backends on kept connections: all clients ask, then all are answered."""

    def __init__(self, features: dict[str, Any]) -> None:
        backends = [{"address": f"127.0.0.1:{9000 + i}"} for i in range(3)]
        proxy = Proxy(config=ProxyConfig.from_dict({"backends": backends, **features}))
        proxy.listener.now = proxy.service.now = proxy.connections.now = time.monotonic
        self.wire: Any = Wire()
        self.clients: list[Any] = [ServerConnection(proxy.listener) for _ in range(CLIENTS)]
        for client in self.clients:
            client.connection_made(self.wire)
        self.origins: list[Any] = []
        for backend in proxy.pool.backends:
            for _ in range(CLIENTS):
                origin: Any = ClientConnection(proxy.connections, backend)
                origin.connection_made(Wire())
                proxy.connections.put_back(origin)
                self.origins.append(origin)

    def play(self, first: int, varied: bool, flood: bool) -> tuple[float, float]:
        """Return the seconds that all requests took on their way in, and their answers on the way out."""
        clock = time.process_time
        asked = [request(first + i, varied) for i in range(CLIENTS)]
        answered = [answer(first + i, varied) for i in range(CLIENTS)]
        if flood:  # not even the names are the same
            asked = [head.replace(b"Cookie:", b"X-%d:" % (first + i)) for i, head in enumerate(asked)]
            answered = [
                head.replace(b"Set-Cookie:", b"X-%d:" % (first + i)) for i, head in enumerate(answered)
            ]
        start = clock()
        for client, data in zip(self.clients, asked, strict=True):
            client.data_received(data)
        way_in = clock() - start
        busy = [origin for origin in self.origins if origin.receiver is not None]
        start = clock()
        for origin, data in zip(busy, answered, strict=True):
            origin.data_received(data)
        way_out = clock() - start
        assert self.wire.last.startswith(b"HTTP/1.1 200 OK\r\n"), self.wire.last
        return way_in, way_out


async def cost(features: dict[str, Any], varied: bool, flood: bool, rounds: int) -> dict[str, float]:
    inside = Inside(features)
    gc.collect()
    found = [inside.play(CLIENTS * i, varied, flood) for i in range(rounds + WARM)][WARM:]
    ways = {"in": min(way for way, _ in found), "out": min(way for _, way in found)}
    return {name: 1e6 * way / CLIENTS for name, way in ways.items()}


def measure(rounds: int) -> dict[str, Any]:
    kinds = {"same heads": ({}, False, False), "different heads": ({}, True, False)}
    kinds |= {name: (features, False, False) for name, features in FEATURES.items()}
    flood = ({}, True, True)
    rows = {name: asyncio.run(cost(*kind, rounds)) for name, kind in kinds.items()}
    rows["flood"] = asyncio.run(cost(*flood, rounds))
    longest, plans.MAX_HEAD = plans.MAX_HEAD, -1  # no head is remembered
    try:
        rows["without plans"] = asyncio.run(cost(*flood, rounds))
    finally:
        plans.MAX_HEAD = longest
    return {"us": rows}


def show(found: dict[str, Any]) -> None:
    print(f"{'microseconds':18}{'in':>8}{'out':>8}{'sum':>8}")
    for name, row in found["us"].items():
        print(f"{name:18}{row['in']:8.2f}{row['out']:8.2f}{row['in'] + row['out']:8.2f}")


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=300, help=f"of {CLIENTS} requests")
    report(parser, measure, show)

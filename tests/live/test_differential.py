"""Our algorithms against the real programs: the same servers, weights and requests, and the same choices.

Each request is played step by step: it begins, some backend reports that it has it, and it ends when the play
says so. So whatever a program counts, it counts the same as our pool.
"""

from __future__ import annotations

import http.client
import queue
import random
import socketserver
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from statistics import mean
from typing import Any

import pytest
from needs import need, need_feature

need_feature("live")

from lbkit import Backend, Experiment, Exponential, Policy, Pool, Server, Traffic, make_balancer, run
from lbkit.core.balance import HaproxyRing
from lbkit.live import PEERS
from lbkit.live.peers.base import Peer

PROGRAMS = {"nginx": "nginx", "haproxy": "haproxy", "apache": "apache2", "caddy": "caddy"}
TIMEOUT = 20.0  # only reached when something is broken
EQUAL = (1, 1, 1, 1)
WEIGHTS = ((5, 1, 1), (3, 2, 1), (7, 3, 3, 2), EQUAL)


class Stage:
    """Backends that report each request, and hold the answer until it is released."""

    def __init__(self, count: int) -> None:
        self.began: queue.Queue[tuple[str, str]] = queue.Queue()  # backend, request
        self.gates: dict[str, threading.Event] = {}
        self.sizes: dict[str, int] = {}  # of answers; 0 unless said
        self.received: dict[str, int] = {}  # bytes of requests
        self.servers = [self._server(f"s{i}") for i in range(1, count + 1)]

    def _server(self, name: str) -> socketserver.ThreadingTCPServer:
        stage = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                number = self.headers["X-Number"]
                gate = stage.gates[number]
                head = sum(len(f"{field}: {value}\r\n") for field, value in self.headers.items())
                stage.received[number] = len(self.raw_requestline) + head + 2
                stage.began.put((name, number))
                assert gate.wait(TIMEOUT)
                size = stage.sizes.get(number, 0)
                self.send_response_only(200)
                self.send_header("Content-Length", str(size))
                self.end_headers()
                self.wfile.write(bytes(size))

            def log_message(self, *_: object) -> None:
                pass

        class Quick(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            disable_nagle_algorithm = True
            request_queue_size = 64

        server = Quick(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server

    def close(self) -> None:
        for gate in self.gates.values():
            gate.set()
        for server in self.servers:
            server.shutdown()
            server.server_close()


@dataclass
class Play:
    """A program and our pool before the same backends; every step is taken in both."""

    stage: Stage
    peer: Peer
    pool: Pool
    idle: list[http.client.HTTPConnection] = field(default_factory=list)
    running: dict[str, tuple[http.client.HTTPConnection, Backend]] = field(default_factory=dict)
    number: int = 0

    def begin(self, client: str, path: str) -> tuple[str, str]:
        """Return the backend that the program picked, and the one that we did."""
        self.number += 1
        name = str(self.number)
        gate = self.stage.gates[name] = threading.Event()
        connection = (
            self.idle.pop() if self.idle else http.client.HTTPConnection("127.0.0.1", self.peer.port, TIMEOUT)
        )
        connection.request("GET", path, headers={"X-Forwarded-For": client, "X-Number": name})
        theirs, which = self.stage.began.get(timeout=TIMEOUT)
        assert which == name
        key = client if self.peer.policy.keyed_by == "client" else path
        ours = self.pool.pick(key, 0.0)
        self.running[name] = connection, ours
        assert not gate.is_set()
        return theirs, ours.name

    def end(self, name: str) -> None:
        connection, ours = self.running.pop(name)
        self.stage.gates.pop(name).set()
        connection.getresponse().read()
        self.idle.append(connection)
        self.pool.release(ours, 0.0, True, 0.0)
        self._settle()

    def close(self) -> None:
        for connection in [*self.idle, *(c for c, _ in self.running.values())]:
            connection.close()

    def _settle(self) -> None:
        """Wait until the program has counted the end, if it reports its counts."""
        end = time.monotonic() + TIMEOUT
        while True:
            counted = {n: row["in_flight"] for n, row in self.peer.stats().get("servers", {}).items()}
            if not counted or sum(counted.values()) == len(self.running):
                return
            assert time.monotonic() < end, counted


@contextmanager
def play(on: str, policy: Policy, weights: tuple[float, ...]) -> Iterator[Play]:
    need(PROGRAMS[on])
    servers = [Server(f"s{i}", weight=w) for i, w in enumerate(weights, 1)]
    stage = Stage(len(servers))
    peer = PEERS[on](Experiment(servers, policy=policy))
    try:
        backends = [
            Backend(s.name, weight=s.weight, host="127.0.0.1", port=server.server_address[1])
            for s, server in zip(servers, stage.servers, strict=True)
        ]
        peer.start(backends)
        scene = Play(stage, peer, Pool(backends, make_balancer(policy.algorithm, **policy.options)))
        try:
            yield scene
        finally:
            scene.close()
    finally:
        peer.stop()
        stage.close()


def together(scene: Play, steps: int, seed: int, most: int = 9) -> list[tuple[str, str]]:
    """A random play, with up to `most` requests at a time. Both choices, request by request."""
    rng = random.Random(seed)
    chosen = []
    for _ in range(steps):
        if scene.running and (len(scene.running) >= most or rng.random() < 0.45):
            scene.end(rng.choice(list(scene.running)))
        else:
            client = f"10.{rng.randrange(4)}.{rng.randrange(256)}.{rng.randrange(256)}"
            chosen.append(scene.begin(client, f"/item/{rng.randrange(300)}"))
    for name in list(scene.running):
        scene.end(name)
    return chosen


DETERMINISTIC = [
    ("nginx", Policy("round_robin"), EQUAL),
    *(("nginx", Policy("weighted_round_robin"), w) for w in WEIGHTS),
    *(("nginx", Policy("nginx_least_connections"), w) for w in WEIGHTS),
    *(("nginx", Policy("nginx_ip_hash"), w) for w in WEIGHTS[-2:]),
    *(("nginx", Policy("nginx_hash", key=k), WEIGHTS[1]) for k in ("client", "path")),
    *(("nginx", Policy("nginx_ring", key=k), WEIGHTS[1]) for k in ("client", "path")),
    ("haproxy", Policy("round_robin"), EQUAL),
    *(("haproxy", Policy("fast_round_robin"), w) for w in WEIGHTS),
    *(("haproxy", Policy("static_round_robin"), w) for w in WEIGHTS),
    *(("haproxy", Policy("haproxy_least_connections"), w) for w in WEIGHTS),
    ("haproxy", Policy("least_connections"), EQUAL),
    ("haproxy", Policy("first_available", {"limit": 4}), EQUAL),
    *(("haproxy", Policy("haproxy_map", key=k), WEIGHTS[1]) for k in ("client", "path")),
    *(("haproxy", Policy("haproxy_ring", key=k), WEIGHTS[1]) for k in ("client", "path")),
    ("haproxy", Policy("haproxy_ring", {"avalanche": False}), EQUAL),
    *(("haproxy", Policy("haproxy_ring", {"factor": 125}), w) for w in WEIGHTS),
    ("apache", Policy("round_robin"), EQUAL),
    *(("apache", Policy("weighted_round_robin"), w) for w in WEIGHTS),
    *(("apache", Policy("by_busyness"), w) for w in WEIGHTS),
]


def label(case: tuple[str, Policy, tuple[float, ...]]) -> str:
    on, policy, weights = case
    options = "-".join(f"{k}={v}" for k, v in policy.options.items())
    return "-".join(filter(None, (on, policy.algorithm, options, policy.key, ":".join(map(str, weights)))))


@pytest.mark.parametrize("case", DETERMINISTIC, ids=label)
def test_the_same_choices(case: tuple[str, Policy, tuple[float, ...]]) -> None:
    with play(*case) as scene:
        chosen = together(scene, steps=300, seed=7)
    differing = [i for i, (theirs, ours) in enumerate(chosen) if theirs != ours]
    assert not differing, (differing[:9], chosen[: differing[0] + 3])
    if case[1].algorithm != "first_available" and "avalanche" not in case[1].options:
        assert len({ours for _, ours in chosen}) == len(case[2])  # everybody has had some


@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
def test_by_traffic_counts_bytes(weights: tuple[float, ...]) -> None:
    """httpd counts whole requests, and of answers the first line and the body; both in units of a hundred
    bytes for each of weight. Our backends get the same, so that rounding decides nothing."""
    rng = random.Random(3)
    bytes_of: defaultdict[Backend, list[int]] = defaultdict(lambda: [0, 0])
    with play("apache", Policy("by_traffic"), weights) as scene:
        chosen = []
        for _ in range(150):
            number = str(scene.number + 1)
            size = scene.stage.sizes[number] = rng.choice((1000, 5000, 40_000))
            chosen.append(scene.begin("10.0.0.1", "/"))
            backend = scene.running[number][1]
            moved = bytes_of[backend]
            moved[0] += scene.stage.received[number]
            moved[1] += len("HTTP/1.1 200 OK") + size
            backend.traffic = round(backend.weight * sum(n // round(100 * backend.weight) for n in moved))
            scene.end(number)
    assert [theirs for theirs, _ in chosen] == [ours for _, ours in chosen]
    assert len({ours for _, ours in chosen}) == len(weights)


def test_haproxys_turns_drift_a_little() -> None:
    """Each window loses a part of a turn: of 900 by 8, 6 and 8, the lightest would be due 245."""
    with play("haproxy", Policy("fast_round_robin"), (8, 6, 8)) as scene:
        chosen = []
        for _ in range(900):
            chosen.append(scene.begin("10.0.0.1", "/"))
            scene.end(str(scene.number))
    assert all(theirs == ours for theirs, ours in chosen)
    assert Counter(theirs for theirs, _ in chosen) == {"s1": 330, "s2": 241, "s3": 329}


# -- chance ---------------------------------------------------------------------------------------

# 99.9 % of chi-square: what one of a thousand right ones exceeds, by degrees of freedom.
CRITICAL = {1: 10.8, 2: 13.8, 3: 16.3}
DRAWS = 600


def chi_square(counts: Counter[str], shares: dict[str, float]) -> float:
    total = sum(counts.values())
    return sum((counts[name] - share * total) ** 2 / (share * total) for name, share in shares.items())


def ring_shares(ring: HaproxyRing) -> dict[str, float]:
    """Each point has half of the way to its neighbours."""
    shares: Counter[str] = Counter()
    points, owners = ring._points, ring._owners
    for i, owner in enumerate(owners):
        way = (points[(i + 1) % len(points)] - points[i - 1]) % 2**32
        shares[owner.name] += way / 2**33
    assert sum(shares.values()) == pytest.approx(1)
    return shares


@pytest.mark.parametrize(
    ("on", "policy", "weights"),
    [
        ("nginx", Policy("random"), EQUAL),
        ("nginx", Policy("weighted_random"), (3, 2, 1)),
        ("nginx", Policy("power_of_two"), EQUAL),
        *(("haproxy", Policy("haproxy_random", {"draws": 1}), w) for w in WEIGHTS),
    ],
    ids=str,
)
def test_the_same_distribution(on: str, policy: Policy, weights: tuple[float, ...]) -> None:
    shares = {f"s{i}": w / sum(weights) for i, w in enumerate(weights, 1)}
    with play(on, policy, weights) as scene:
        if on == "haproxy":
            shares = ring_shares(scene.pool.balancer)
        chosen = []
        for i in range(DRAWS):
            chosen.append(scene.begin(f"10.0.0.{i % 250}", "/"))
            scene.end(str(scene.number))
    for counts in (Counter(theirs for theirs, _ in chosen), Counter(ours for _, ours in chosen)):
        # Twice as far as one in a thousand would be: the program throws its own dice anew each time.
        assert chi_square(counts, shares) < 2 * CRITICAL[len(weights) - 1], counts


@pytest.mark.parametrize(
    ("on", "policy"), [("nginx", Policy("power_of_two")), ("haproxy", Policy("haproxy_random"))]
)
def test_the_same_server_may_be_drawn_twice(on: str, policy: Policy) -> None:
    """Of two servers nginx never takes the busier one; HAProxy does when it draws that one twice."""
    picks = Counter[str]()
    with play(on, policy, (1, 1)) as scene:
        busy = scene.begin("10.0.0.1", "/")  # and stays there
        shares = ring_shares(scene.pool.balancer) if on == "haproxy" else dict.fromkeys(busy, 0.0)
        for i in range(DRAWS):
            chosen = scene.begin(f"10.0.0.{i % 250}", "/")
            picks["theirs"] += chosen[0] == busy[0]
            picks["ours"] += chosen[1] == busy[1]
            scene.end(str(scene.number))
    for who, name in zip(("theirs", "ours"), busy, strict=True):
        expected = shares[name] ** 2
        spread = (expected * (1 - expected) / DRAWS) ** 0.5
        assert abs(picks[who] / DRAWS - expected) <= 5 * spread, (picks, expected)


# -- how busy the chosen server is --------------------------------------------------------------

OWN_WAYS = [
    ("haproxy", Policy("power_of_two")),
    ("haproxy", Policy("power_of_choices")),
    ("caddy", Policy("least_connections")),
    ("caddy", Policy("power_of_two")),
    ("caddy", Policy("power_of_choices")),
]


class Crowd:
    """Requests that begin and end at random, and the requests that each found in flight at its server."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.running: list[tuple[str, Any]] = []
        self.in_flight: Counter[str] = Counter()
        self.found: list[int] = []

    def play(self, steps: int, begin: Callable[[], tuple[str, Any]], end: Callable[[Any], object]) -> float:
        """Return how many requests were in flight at the chosen server, on average. `begin` chooses one."""
        for _ in range(steps):
            if self.running and (len(self.running) >= 12 or self.rng.random() < 0.45):
                server, request = self.running.pop(self.rng.randrange(len(self.running)))
                self.in_flight[server] -= 1
                end(request)
            else:
                server, request = begin()
                self.found.append(self.in_flight[server])
                self.in_flight[server] += 1
                self.running.append((server, request))
        for _, request in self.running:
            end(request)
        return mean(self.found)


@pytest.mark.parametrize(("on", "policy"), OWN_WAYS, ids=str)
def test_the_simulators_version_finds_servers_as_busy_as_the_program_does(on: str, policy: Policy) -> None:
    """Within 15 %; what a server is chosen for decides how long its requests wait."""
    with play(on, policy, EQUAL) as scene:

        def begin() -> tuple[str, str]:
            server, _ = scene.begin("10.0.0.1", "/")
            return server, str(scene.number)

        theirs = Crowd(1).play(700, begin, scene.end)
        same = scene.peer.simulated()
    assert same != policy
    pool = same.pool([Backend(f"s{i}") for i in range(1, 5)], random.Random)

    def choose() -> tuple[str, Backend]:
        backend = pool.pick("", 0.0)
        return backend.name, backend

    ours = Crowd(2).play(30_000, choose, lambda backend: pool.release(backend, 0.0, True, 0.0))
    assert ours == pytest.approx(theirs, rel=0.15)


def far_off(policy: Policy, other: Policy) -> float:
    """Return how far mean latencies in the simulator are apart, in percent, as `Difference` has it."""
    apart = []
    for speeds in ((1, 1, 1, 1), (2, 1, 1, 1)):
        tried = Experiment(
            [Server(f"s{i}", speed=s, weight=s, service=Exponential(0.05)) for i, s in enumerate(speeds)],
            Traffic(duration=60, warmup=1),
        ).at_load(0.65)
        a, b = (mean(run(tried.but(policy=p, seed=seed)).mean for seed in range(10)) for p in (policy, other))
        apart.append(100 * abs(b / a - 1))
    return max(apart)


@pytest.mark.parametrize("on", PEERS)
def test_the_notes_say_how_far_off_an_algorithm_is(on: str) -> None:
    for algorithm, difference in PEERS[on].own_ways.items():
        peer = PEERS[on](Experiment([Server("s1"), Server("s2")], policy=algorithm))
        peer.place([Backend("s1"), Backend("s2")])
        note = next(note for note in peer.notes() if note.startswith(f"{algorithm} is not quite"))
        assert f"by up to {difference.percent} %" in note
        assert peer.simulated().algorithm in note
        off = far_off(Policy(algorithm), peer.simulated())
        assert difference.percent == pytest.approx(off, abs=1 + off / 10), (algorithm, off)
